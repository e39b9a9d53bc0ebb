//! Signals as they happen, a line each; of more than a person can read the rest is summed up.
//!
//! ```text
//! 10:32:44  critical  payment-fraud-check   POST /checkout of frontend        5b8aa5a2d2c872e8321cf37308d69df2
//! 10:32:50  … 312 more signals: payment-fraud-check 200, slow-query 112
//! ```
//! Every signal is in a line of its own or in one of the sums. The time is an argument.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use crate::signal::{Certainty, Emission, Severity, Signal};
use crate::sinks::paint::{Paint, Style};
use crate::sinks::person::{MAX_WIDTH, MIN_WIDTH};
use crate::sinks::text::{self, clean, column, grouped};
use crate::time::Time;

/// Signal lines that may come at once after a while without: a handful is read at a glance.
const BURST: u64 = 6;

/// How often the rest is summed up.
const SUM_EVERY: Duration = Duration::from_secs(5);

/// Rules that a sum names.
const NAMED: usize = 4;

/// Columns of a rule's id.
const RULE: usize = 26;

/// Signals to lines.
pub(super) struct Lines {
    /// Between two lines, in the long run.
    every: Duration,
    /// Lines that may come now.
    tokens: u64,
    refilled: Time,
    /// Not shown since the last sum, by rule.
    rest: HashMap<String, u64>,
    /// When the next sum is due, while there is a rest.
    due: Option<Time>,
    /// Signals that did not even get here, as of the last sum.
    lost: u64,
}

impl Lines {
    /// At most `a_second` lines a second, in the long run.
    pub(super) fn new(a_second: u32) -> Lines {
        Lines {
            every: Duration::from_secs(1) / a_second.max(1),
            tokens: BURST,
            refilled: Time::default(),
            rest: HashMap::new(),
            due: None,
            lost: 0,
        }
    }

    /// The lines of signals that have just come.
    pub(super) fn push(
        &mut self,
        batch: &[Emission],
        now: Time,
        paint: Paint,
        width: usize,
    ) -> String {
        let mut out = String::new();
        for emission in batch {
            if self.take(now) {
                out.push_str(&line(&emission.signal, paint, width));
                out.push('\n');
                continue;
            }
            let rule = &emission.signal.rule;
            match self.rest.get_mut(rule) {
                Some(count) => *count += 1,
                None => {
                    self.rest.insert(rule.clone(), 1);
                }
            }
            self.due.get_or_insert(now.after(SUM_EVERY));
        }
        out
    }

    /// When to call [`Lines::sum`].
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// What was not shown since the last sum; `lost` signals in all came too fast to get here.
    pub(super) fn sum(&mut self, lost: u64, clock: &str, paint: Paint, width: usize) -> String {
        self.due = None;
        let mut rest: Vec<(String, u64)> = self.rest.drain().collect();
        rest.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        let new_lost = lost.saturating_sub(self.lost);
        self.lost = lost;
        let count = rest.iter().map(|(_, count)| count).sum::<u64>() + new_lost;
        if count == 0 {
            return String::new();
        }
        let named = rest.iter().take(NAMED);
        let mut parts: Vec<String> = named
            .map(|(rule, count)| format!("{} {}", clean(rule, RULE), grouped(*count)))
            .collect();
        let others: u64 = rest.iter().skip(NAMED).map(|(_, count)| count).sum();
        if others + new_lost > 0 {
            parts.push(format!("others {}", grouped(others + new_lost)));
        }
        let plural = if count == 1 { "" } else { "s" };
        let text = format!(
            "{clock}  … {} more signal{plural}: {}",
            grouped(count),
            parts.join(", ")
        );
        let text = clean(&text, width.clamp(MIN_WIDTH, MAX_WIDTH));
        format!("{}\n", paint.paint(Style::Faint, &text))
    }

    fn take(&mut self, now: Time) -> bool {
        let every = u64::try_from(self.every.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        let new = now.0.saturating_sub(self.refilled.0) / every;
        if self.tokens + new >= BURST {
            self.tokens = BURST;
            self.refilled = now;
        } else {
            self.tokens += new;
            self.refilled = Time(self.refilled.0.saturating_add(new.saturating_mul(every)));
        }
        let is_taken = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        is_taken
    }
}

/// A signal on one line; its severity has a `?` where more spans could undo it.
fn line(signal: &Signal, paint: Paint, width: usize) -> String {
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    let clock = signal.detected_at.get(11..19).unwrap_or_default();
    let doubt = match signal.certainty {
        Certainty::Certain => "",
        Certainty::Unsure => "?",
    };
    let severity = column(&format!("{}{doubt}", signal.severity.name()), 9);
    let style = match signal.severity {
        Severity::Critical | Severity::High => Style::Bad,
        Severity::Medium => Style::Doubtful,
        Severity::Low | Severity::Info => Style::Label,
    };
    let left = format!("{clock}  {severity} {}  ", column(&signal.rule, RULE));
    let room = width.saturating_sub(text::width(&left) + 1 + signal.trace_id.len());
    let [service, name] =
        [&signal.root_service, &signal.root_name].map(|part| part.as_deref().unwrap_or("?"));
    let mut operation = format!("{name} of {service}");
    // A name says more than half a service.
    if text::width(&clean(&operation, width)) > room {
        operation = name.to_owned();
    }
    format!(
        "{clock}  {} {}  {} {}",
        paint.paint(style, &severity),
        paint.paint(Style::Strong, &column(&signal.rule, RULE)),
        column(&operation, room),
        paint.paint(Style::Faint, &signal.trace_id),
    )
}
