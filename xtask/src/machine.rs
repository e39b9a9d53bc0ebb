//! The machine that figures are of, as the header of their tables.

use std::fs;

/// `Intel Xeon ... @ 2.20GHz, 2 cores, 24 GiB; Linux 6.1`.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let of = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = of("/proc/cpuinfo");
    let processor = processor(&cpuinfo);
    let kernel = of("/proc/sys/kernel/osrelease");
    let mut text = format!(
        "{}, {cores} {}",
        processor.unwrap_or(std::env::consts::ARCH),
        if cores == 1 { "core" } else { "cores" },
    );
    if let Some(kib) = kib(&of("/proc/meminfo"), "MemTotal:") {
        text += &format!(", {} GiB", (kib + (1 << 19)) >> 20);
    }
    text + &format!("; {} {}", std::env::consts::OS, kernel.trim())
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The number of a line such as `VmHWM:    1234 kB`.
pub(crate) fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu\n";
        assert_eq!(processor(cpuinfo), Some("Some CPU @ 2.00GHz"));
        assert_eq!(
            kib("Name:\tx\nVmHWM:\t    1234 kB\n", "VmHWM:"),
            Some(1_234)
        );
        assert_eq!(kib("", "VmHWM:"), None);
        assert!(describe().contains("core"));
    }
}
