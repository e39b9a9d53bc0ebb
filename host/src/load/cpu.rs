//! CPU time of this process and its threads, as Linux tells it. Elsewhere there is none.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// What `/proc/self/stat` counts in: a hundredth of a second on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all threads that a process has or had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub user: Duration,
    /// In the kernel, for it.
    pub kernel: Duration,
}

impl Spent {
    pub fn total(self) -> Duration {
        self.user + self.kernel
    }

    pub fn since(self, before: Spent) -> Spent {
        Spent {
            user: self.user.saturating_sub(before.user),
            kernel: self.kernel.saturating_sub(before.kernel),
        }
    }
}

/// CPU time of all threads that this process has or had.
pub fn process() -> Option<Duration> {
    spent().map(Spent::total)
}

/// As [`process`], in its two parts.
pub fn spent() -> Option<Spent> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<u32>().ok();
    Some(Spent {
        user: TICK * next()?,
        kernel: TICK * next()?,
    })
}

/// CPU time of the thread that asks.
pub fn thread() -> Option<Duration> {
    on_cpu("/proc/thread-self/schedstat")
}

/// CPU time of the threads that there are, by name; numbers at the end of a name don't count.
pub fn threads() -> BTreeMap<String, Duration> {
    let mut sums = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = task.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let name = name
            .trim()
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        if let Some(time) = on_cpu(&path.join("schedstat").to_string_lossy()) {
            *sums.entry(name.to_owned()).or_default() += time;
        }
    }
    sums
}

fn on_cpu(schedstat: &str) -> Option<Duration> {
    let text = fs::read_to_string(schedstat).ok()?;
    let ns = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}
