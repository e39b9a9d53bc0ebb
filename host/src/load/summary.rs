//! What is said of a load: a line while it runs, and a summary, for a person or as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::cpu::Spent;
use super::latency::Latencies;
use super::send::Sent;
use super::tally::Tally;
use crate::sinks::text::{duration, grouped, many};

/// All that is known of a load that has ended.
#[derive(Debug)]
pub struct Summary<'a> {
    pub sent: &'a Sent,
    /// What this process spent, where the system says so.
    pub cpu: Option<Spent>,
    pub seed: u64,
    /// The rate that was asked for, in spans a second.
    pub rate: Option<u64>,
}

/// A second of a load.
pub fn line(elapsed: Duration, lately: &Tally, took: Duration) -> String {
    let mut line = format!(
        "{:>5.0}s  {:>11} spans/s",
        elapsed.as_secs_f64(),
        grouped(per_second(lately.accepted, took)),
    );
    let latency = |share| shown(lately.latencies.per_mille(share));
    if lately.latencies.max().is_some() {
        let _ = write!(line, "  p50 {}  p99 {}", latency(500), latency(990));
    }
    for (count, what) in [
        (lately.rejected, "rejected"),
        (lately.failed, "failed"),
        (lately.retries, "retried"),
    ] {
        if count > 0 {
            let _ = write!(line, "  {} {what}", grouped(count));
        }
    }
    line
}

impl Summary<'_> {
    pub fn text(&self) -> String {
        let Sent {
            tally,
            traces,
            elapsed,
            ..
        } = self.sent;
        let mut text = format!(
            "sent      {} of {} in {}, {} MB, in {}\n",
            many(tally.spans, "span"),
            many(*traces, "trace"),
            many(tally.requests, "request"),
            grouped(tally.bytes / 1_000_000),
            duration(nanos(*elapsed)),
        );
        let mut answered = format!("accepted  {}", many(tally.accepted, "span"));
        for (count, what) in [(tally.rejected, "rejected"), (tally.failed, "failed")] {
            if count > 0 {
                let _ = write!(answered, ", {} {what}", grouped(count));
            }
        }
        if tally.retries > 0 {
            let _ = write!(answered, "; {} sent again", many(tally.retries, "request"));
        }
        let asked = self.rate.map_or_else(String::new, |rate| {
            format!(" of {} asked for", grouped(rate))
        });
        let _ = writeln!(
            text,
            "{answered}\nrate      {} spans/s{asked}",
            grouped(per_second(tally.accepted, *elapsed)),
        );
        let [p50, p90, p99, max] = quantiles(&tally.latencies).map(shown);
        let _ = writeln!(text, "latency   p50 {p50}  p90 {p90}  p99 {p99}  max {max}");
        if let Some(cpu) = self.cpu {
            let _ = writeln!(
                text,
                "own CPU   {:.0} ns a span: {:.0}, and {:.0} in the kernel",
                a_span(cpu.total(), tally.spans),
                a_span(cpu.user, tally.spans),
                a_span(cpu.kernel, tally.spans),
            );
        }
        if let Some(why) = &tally.failure {
            let _ = writeln!(text, "failure   {why}");
        }
        let _ = writeln!(text, "seed      {}", self.seed);
        text
    }

    pub fn json(&self) -> Value {
        let Sent {
            tally,
            traces,
            elapsed,
            stopped,
        } = self.sent;
        let ms = |latency: Option<Duration>| latency.map(|latency| latency.as_secs_f64() * 1e3);
        let [p50, p90, p99, max] = quantiles(&tally.latencies).map(ms);
        json!({
            "elapsed_s": elapsed.as_secs_f64(),
            "traces": traces,
            "requests": tally.requests,
            "bytes": tally.bytes,
            "spans": {
                "sent": tally.spans,
                "accepted": tally.accepted,
                "rejected": tally.rejected,
                "failed": tally.failed,
            },
            "retries": tally.retries,
            "spans_per_second": per_second(tally.accepted, *elapsed),
            "rate_asked": self.rate,
            "latency_ms": { "p50": p50, "p90": p90, "p99": p99, "max": max },
            "own_cpu_ns_a_span": self.cpu.map(|cpu| json!({
                "user": a_span(cpu.user, tally.spans),
                "kernel": a_span(cpu.kernel, tally.spans),
            })),
            "failure": tally.failure,
            "stopped": stopped,
            "seed": self.seed,
        })
    }
}

fn quantiles(latencies: &Latencies) -> [Option<Duration>; 4] {
    let at = |share| latencies.per_mille(share);
    [at(500), at(900), at(990), latencies.max()]
}

fn shown(latency: Option<Duration>) -> String {
    latency.map_or_else(|| "-".to_owned(), |latency| duration(nanos(latency)))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn per_second(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(1e-9)).round() as u64
}

fn a_span(time: Duration, spans: u64) -> f64 {
    time.as_nanos() as f64 / spans.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally::default();
        for n in 1..=10 {
            tally.sent(1_000, 393_000);
            tally.taken(1_000, u64::from(n == 3), Duration::from_millis(n));
        }
        tally.sent(1_000, 393_000);
        tally.failed(1_000, "Internal: why".into());
        tally.retries = 2;
        tally
    }

    #[test]
    fn a_summary_says_what_became_of_every_span() {
        let sent = Sent {
            tally: tally(),
            traces: 1_100,
            elapsed: Duration::from_secs(2),
            stopped: false,
        };
        let summary = Summary {
            sent: &sent,
            cpu: Some(Spent {
                user: Duration::from_micros(440),
                kernel: Duration::from_micros(660),
            }),
            seed: 7,
            rate: Some(6_000),
        };
        assert_eq!(
            summary.text(),
            "\
sent      11,000 spans of 1,100 traces in 11 requests, 4 MB, in 2.00 s
accepted  9,999 spans, 1 rejected, 1,000 failed; 2 requests sent again
rate      5,000 spans/s of 6,000 asked for
latency   p50 5.11 ms  p90 9.18 ms  p99 10.0 ms  max 10.0 ms
own CPU   100 ns a span: 40, and 60 in the kernel
failure   Internal: why
seed      7
"
        );
        let json = summary.json();
        assert_eq!(json["spans"]["accepted"], 9_999);
        assert_eq!(json["spans_per_second"], 5_000);
        assert_eq!(json["own_cpu_ns_a_span"]["user"], 40.0);
    }

    #[test]
    fn a_line_is_of_its_second_alone() {
        let before = tally();
        let mut now = before.clone();
        now.sent(500, 1);
        now.taken(500, 0, Duration::from_micros(250));
        let line = line(
            Duration::from_secs(3),
            &now.since(&before),
            Duration::from_millis(500),
        );
        let expected = "    3s        1,000 spans/s  p50 254 us  p99 254 us";
        assert_eq!(line, expected);
    }
}
