//! A service behind the guard really cannot do what its row does not name. The program behind it is
//! Python, which makes any system call that it is told to.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

const PYTHON: &str = "/usr/bin/python3";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a script behind the guard as a service.
fn guarded(service: &str, script: &str) -> Output {
    let guard = env!("CARGO_BIN_EXE_linnet-init");
    let run = Command::new(guard).args(["guard", service, PYTHON, "-S", "-c", script]).output();
    run.expect("the guard starts")
}

fn text(output: &Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// What a script printed, one `name=value` a line; those without root see the guard refuse instead.
fn values(service: &str, script: &str) -> Option<Vec<(String, String)>> {
    let output = guarded(service, script);
    if !is_root() {
        assert!(!output.status.success() && text(&output).contains("only root"));
        return None;
    }
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = said.lines().filter_map(|line| line.split_once('='));
    Some(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn value<'a>(values: &'a [(String, String)], name: &str) -> &'a str {
    let found = values.iter().find(|(own, _)| own == name);
    &found.unwrap_or_else(|| panic!("{name} is missing in {values:?}")).1
}

const STATUS: &str = r"
for line in open('/proc/self/status'):
    name, _, value = line.partition(':')
    print(name + '=' + value.strip())
";

#[test]
fn server_runs_as_its_own_user_without_any_capability() {
    let Some(status) = values("linnetd", STATUS) else { return };
    assert_eq!(value(&status, "Uid"), "900\t900\t900\t900");
    assert_eq!(value(&status, "Gid"), "900\t900\t900\t900");
    assert_eq!(value(&status, "Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(value(&status, "NoNewPrivs"), "1");
    assert_eq!(value(&status, "Seccomp"), "2");
    assert_eq!(value(&status, "Seccomp_filters"), "2");
}

#[test]
fn network_child_keeps_four_capabilities_over_exec_and_no_others() {
    let Some(status) = values("net", STATUS) else { return };
    assert_eq!(value(&status, "Uid"), "901\t901\t901\t901");
    // linux/capability.h: NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13, SYS_TIME 25.
    let four = format!("{:016x}", 1_u64 << 10 | 1 << 12 | 1 << 13 | 1 << 25);
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(&status, set), four, "{set}");
    }
}

const ATTEMPTS: &str = r"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, act):
    try:
        act()
        print(name + '=done')
    except OSError as error:
        print(name + '=' + errno.errorcode[error.errno])
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), 'syscall')
def listen(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('127.0.0.1', port))
here = os.uname().machine == 'x86_64'
attempt('landlock', lambda: call(444, None, 0, 1))
attempt('personality', lambda: call(135 if here else 92, 0xffffffff))
attempt('write_tmp', lambda: open('/tmp/own', 'w').close())
attempt('write_etc', lambda: open('/etc/own', 'w').close())
attempt('read_etc', lambda: open('/etc/hostname').close())
attempt('read_world_readable', lambda: open('/var/lib/dpkg/status').close())
attempt('packets', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close())
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close())
attempt('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close())
attempt('foreign_port', lambda: listen(23456))
attempt('signal_init', lambda: os.kill(1, 0))
attempt('shell', lambda: os.execv('/bin/sh', ['sh', '-c', 'true']))
print('tmp=' + str(os.listdir('/tmp')))
";

#[test]
fn server_cannot_do_what_its_row_does_not_name() {
    // Asked outside the guard, where the answer is the kernel's.
    let has_landlock = Command::new(PYTHON)
        .args(["-S", "-c"])
        .arg("import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))")
        .output()
        .expect("Python starts");
    let has_landlock = !text(&has_landlock).starts_with('-');
    let script = if has_landlock {
        ATTEMPTS.to_owned()
    } else {
        // Without Landlock nothing but the user holds it back from a shell, which would end this.
        ATTEMPTS.replace("attempt('shell'", "#")
    };
    let Some(seen) = values("linnetd", &script) else { return };
    for (what, expected) in [
        ("landlock", "ENOSYS"),
        ("personality", "ENOSYS"),
        ("write_tmp", "done"),
        ("write_etc", "EACCES"),
        ("read_etc", "done"),
        ("packets", "ENOSYS"),
        ("netlink", "ENOSYS"),
        ("udp", "done"),
        ("signal_init", "ENOSYS"),
    ] {
        assert_eq!(value(&seen, what), expected, "{what}: {seen:?}");
    }
    assert_eq!(value(&seen, "tmp"), "['own']", "nothing of others");
    assert!(!std::path::Path::new("/tmp/own").exists());
    if has_landlock {
        for what in ["read_world_readable", "foreign_port", "shell"] {
            assert_eq!(value(&seen, what), "EACCES", "{what}: {seen:?}");
        }
    } else {
        let output = guarded("linnetd", "print('ran')");
        assert!(text(&output).contains("not fenced in by Landlock"), "{}", text(&output));
        assert!(text(&output).contains("ran"));
    }
}

#[test]
fn call_of_an_attack_ends_the_service() {
    for service in ["linnetd", "net"] {
        let script = r"
import ctypes, os
print(ctypes.CDLL(None).syscall(101 if os.uname().machine == 'x86_64' else 117, 0, 0, 0, 0))
";
        let output = guarded(service, script);
        if is_root() {
            assert_eq!(output.status.signal(), Some(31), "{}", text(&output));
        } else {
            assert!(text(&output).contains("only root"));
        }
    }
}

#[test]
fn unknown_service_is_not_started() {
    let output = guarded("sh", "print('ran')");
    assert!(!output.status.success());
    assert!(!text(&output).contains("ran\n") && text(&output).contains("no table of rights"));
}
