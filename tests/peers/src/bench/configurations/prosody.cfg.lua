run_as_root = true
daemonize = false
pidfile = "@FOLDER@/prosody.pid"
data_path = "@FOLDER@"
log = { warn = "*stdout" }
network_backend = "epoll"
network_settings = { tcp_backlog = 4096 }
c2s_interfaces = { "127.0.0.1" }
c2s_ports = { @PORT@ }
modules_enabled = { "saslauth", "roster", "disco", "ping", "register_ibr" }
modules_disabled = { "s2s", "tls" }
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
VirtualHost "localhost"
Component "conference.localhost" "muc"
  restrict_room_creation = false
  muc_room_locking = false
  muc_room_default_public = true
  muc_room_default_presence_broadcast = { visitor = false, participant = false, moderator = false }
