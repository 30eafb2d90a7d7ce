# Written by `cargo xtask image --sources debian`; read by Buildroot before its packages, so that
# `override` wins over what their own files assign. Never part of an official build.
@SOURCES@
# Debian's patches touch files that would set autotools to work again.
override UTIL_LINUX_AUTORECONF := NO
# The hook that patches libtool belongs to a step which overridden sources skip.
LIBNL_POST_RSYNC_HOOKS += LIBTOOL_PATCH_HOOK

# A tool of this machine in the place of a host package: $(1) is the package, $(2) the programs.
define linnet-shim
$(1)_OVERRIDE_SRCDIR = @EMPTY@
override $(1)_DEPENDENCIES := host-skeleton
override $(1)_AUTORECONF := NO
override $(1)_CONFIGURE_CMDS := :
override $(1)_BUILD_CMDS := :
override $(1)_INSTALL_CMDS = mkdir -p $$(HOST_DIR)/bin $$(HOST_DIR)/sbin $(foreach tool,$(2),&& ln -sf $(tool) $$(HOST_DIR)/bin/ && ln -sf $(tool) $$(HOST_DIR)/sbin/)
endef
@TOOLS@
# The compiler of this machine; its version is checked by the workspace's rust-version.
HOST_RUST_BIN_OVERRIDE_SRCDIR = @EMPTY@
override HOST_RUST_BIN_DEPENDENCIES := host-skeleton
override HOST_RUST_BIN_EXTRA_DOWNLOADS :=
override HOST_RUST_BIN_INSTALL_CMDS = mkdir -p $(HOST_DIR)/bin && ln -sf @RUSTC@ $(HOST_DIR)/bin/rustc && ln -sf @CARGO@ $(HOST_DIR)/bin/cargo
LINNET_RUSTFLAGS = @RUSTFLAGS@
