//! What this process takes of memory, as Linux tells it.

use std::process::Command;

/// Bytes that are resident now.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// The most that were resident at a time.
pub(crate) fn peak() -> u64 {
    status("VmHWM:")
}

fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .map_or(0, |kib| kib << 10)
}

/// Runs a part of this program in a process of its own.
pub(crate) fn apart(part: &str) {
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).arg(part).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "`{part}` failed"
    );
}
