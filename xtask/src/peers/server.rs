//! A server as a process, and what the kernel says that it cost.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::machine::kib;
use crate::run::Failure;

/// What `/proc` counts CPU time in: a hundredth of a second on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// A server listens by then.
const START: Duration = Duration::from_secs(60);

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// A server that takes less than this share of a second in each of so many looks has nothing left to do.
const IDLE: Duration = Duration::from_millis(20);
const IDLE_LOOKS: u32 = 6;

/// It has nothing left to do by then.
const END: Duration = Duration::from_secs(300);

/// A running server, which is killed when this is let go.
pub(crate) struct Server(Child);

/// What a server cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
}

impl Server {
    /// Starts it, its output to `log`, and waits until it listens on `address`.
    pub(crate) fn start(
        command: &mut Command,
        log: File,
        address: &str,
    ) -> Result<Server, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed =
            |what: &str| Failure::new(format!("{program} {what}; see target/peers/{}", super::LOG));
        let errors = log.try_clone().map_err(|_| failed("can't log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start {program}: {error}")))?;
        let mut server = Server(child);
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if matches!(server.0.try_wait(), Ok(Some(_))) {
                return Err(failed("has ended"));
            }
            if started.elapsed() > START {
                return Err(failed("does not listen"));
            }
            sleep(LOOK);
        }
        Ok(server)
    }

    /// CPU time of all its threads, the kernel's for it included.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let stat = self.read("stat")?;
        ticks(&stat)
            .map(|ticks| TICK * ticks)
            .ok_or_else(|| Failure::new("/proc says no CPU time"))
    }

    /// The most memory that it had.
    pub(crate) fn peak_kib(&self) -> Result<u64, Failure> {
        kib(&self.read("status")?, "VmHWM:")
            .ok_or_else(|| Failure::new("/proc says no peak of memory"))
    }

    /// Waits until it has nothing left to do, at least `wait_s` seconds and some looks.
    pub(crate) fn settled(&self, wait_s: Option<u64>) -> Result<(), Failure> {
        let started = Instant::now();
        sleep(Duration::from_secs(wait_s.unwrap_or_default()));
        let (mut idle, mut before) = (0, self.cpu()?);
        while idle < IDLE_LOOKS {
            if started.elapsed() > END {
                return Err(Failure::new("the server is not done after all that time"));
            }
            sleep(LOOK);
            let now = self.cpu()?;
            idle = if now.saturating_sub(before) <= IDLE {
                idle + 1
            } else {
                0
            };
            before = now;
        }
        Ok(())
    }

    fn read(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.0.id());
        fs::read_to_string(&path).map_err(|error| Failure::new(format!("{path}: {error}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has ended by itself, there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and kernel time in ticks. The second field is the program's name in parentheses, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

/// An address that nobody listened on a moment ago.
pub(crate) fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a) S 1"), None);
    }
}
