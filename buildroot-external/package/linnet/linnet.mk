################################################################################
#
# linnet
#
################################################################################

# The sources are those of the tree that this file lies in, put together outside
# it by `cargo xtask image` (with `cargo vendor`'s output, so that nothing is
# downloaded here). The version is only a label for legal-info and SBOM.
LINNET_VERSION = $(LINNET_RELEASE)
LINNET_SITE = $(LINNET_SOURCES)
LINNET_SITE_METHOD = local
LINNET_LICENSE = MIT or Apache-2.0
LINNET_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE

# The workspace's own release profile holds; Buildroot would switch off overflow
# checks and choose other code generation units.
LINNET_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS="true" \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS="4" \
	CARGO_PROFILE_RELEASE_OPT_LEVEL="3" \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="--remap-path-prefix=$(@D)=linnet $(LINNET_RUSTFLAGS)"

# A virtual workspace has nothing for `cargo build` or `cargo install` to take by
# itself: the packages are named.
LINNET_CARGO_BUILD_OPTS = --package linnetd --package linnet-init

define LINNET_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/target/$(RUSTC_TARGET_NAME)/release/linnetd \
		$(TARGET_DIR)/usr/bin/linnetd
	$(INSTALL) -D -m 0755 $(@D)/target/$(RUSTC_TARGET_NAME)/release/linnet-init \
		$(TARGET_DIR)/usr/sbin/linnet-init
endef

$(eval $(cargo-package))
