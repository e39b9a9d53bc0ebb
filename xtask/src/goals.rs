//! What the benches should come to, and the table that says what they came to.
//!
//! A bench writes each figure as a line `name value` to the file that [`FILE`] names (`benches/src/figures.rs`); a figure that
//! comes again replaces the one before. Nothing here fails: times are read by people.

use std::collections::BTreeMap;

/// The variable that names the file of figures.
pub(crate) const FILE: &str = "BETRACE_BENCH_FIGURES";

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Nobody said; it stands beside another.
    None,
}

use Bound::{AtLeast, AtMost};

struct Goal {
    /// As the bench calls it.
    figure: &'static str,
    what: &'static str,
    bound: Bound,
    unit: &'static str,
}

const fn goal(figure: &'static str, what: &'static str, bound: Bound, unit: &'static str) -> Goal {
    Goal {
        figure,
        what,
        bound,
        unit,
    }
}

/// In the order of the table.
const GOALS: &[Goal] = &[
    goal(
        "scan-by-prost",
        "scan, and reading what rules read: prost's time by its own",
        AtLeast(10.0),
        "times",
    ),
    goal(
        "rule-ns",
        "a rule of a name and a comparison, 32 traces of 100 spans",
        AtMost(3.0),
        "ns a span",
    ),
    goal(
        "rule-by-rust",
        "the same by the time of the same loop in Rust",
        AtMost(2.0),
        "times",
    ),
    goal(
        "many-rules",
        "10,000 rules of which a trace concerns 10, by those 10 alone",
        AtMost(1.5),
        "times",
    ),
    goal(
        "many-rules-mib",
        "memory of 10,000 rules, each called once",
        AtMost(1_024.0),
        "MiB",
    ),
    goal(
        "many-rules-start-s",
        "start of 10,000 rules from the folder of machine code, 1 worker",
        AtMost(5.0),
        "s",
    ),
    goal(
        "many-rules-start-16-s",
        "the same, 16 workers",
        AtMost(5.0),
        "s",
    ),
    goal(
        "loopback-10-ns",
        "OTLP/gRPC to signals, 100 rules, 10 concern a trace",
        AtMost(500.0),
        "ns a span",
    ),
    goal(
        "loopback-50-ns",
        "the same, 50 concern a trace",
        Bound::None,
        "ns a span",
    ),
    goal(
        "http-by-grpc",
        "OTLP/HTTP protobuf by OTLP/gRPC",
        AtMost(1.3),
        "times",
    ),
    goal(
        "loopback-http-ns",
        "OTLP/HTTP protobuf",
        Bound::None,
        "ns a span",
    ),
    goal(
        "loopback-grpc-zstd-ns",
        "OTLP/gRPC, zstd",
        Bound::None,
        "ns a span",
    ),
    goal(
        "loopback-http-zstd-ns",
        "OTLP/HTTP protobuf, zstd",
        Bound::None,
        "ns a span",
    ),
    goal(
        "loopback-grpc-gzip-ns",
        "OTLP/gRPC, gzip",
        Bound::None,
        "ns a span",
    ),
    goal(
        "loopback-http-gzip-ns",
        "OTLP/HTTP protobuf, gzip",
        Bound::None,
        "ns a span",
    ),
    goal(
        "two-workers",
        "two workers by one, by the clock",
        AtLeast(1.8),
        "times",
    ),
    goal(
        "flat-open",
        "1,000 to 1,000,000 open traces: the dearest by the first",
        AtMost(FLAT),
        "times",
    ),
    goal(
        "flat-long",
        "traces of 10 to 10,000 spans: the dearest by the first",
        AtMost(FLAT),
        "times",
    ),
    goal(
        "latency-p99-ms",
        "completion to signal at half load, p99",
        AtMost(10.0),
        "ms",
    ),
    goal(
        "memory-counted",
        "memory of open traces by their bytes on the wire, as assembly counts it",
        AtMost(1.3),
        "times",
    ),
    goal(
        "memory-resident",
        "the same, by what the process grew by",
        AtMost(1.3),
        "times",
    ),
    goal(
        "peak-gib",
        "peak memory of a whole host under overload",
        AtMost(1.0),
        "GiB",
    ),
];

/// What counts as the same cost: caches and the translation of addresses are worth this much between four megabytes and four
/// gigabytes.
const FLAT: f64 = 1.25;

/// The table in Markdown, of the figures in a file's text.
pub(crate) fn table(machine: &str, figures: &str) -> String {
    let measured = read(figures);
    let mut text = format!("\n{machine}\n\n| | goal | measured | |\n| --- | --- | --- | --- |\n");
    let mut left_out = 0;
    for goal in GOALS {
        match measured.get(goal.figure) {
            Some(value) => text += &row(goal, *value),
            None => left_out += usize::from(goal.bound != Bound::None),
        }
    }
    for unknown in measured.keys().filter(|name| !is_known(name)) {
        text += &format!(
            "| `{unknown}`, which is no goal | | {} | |\n",
            measured[unknown]
        );
    }
    if left_out > 0 {
        text += &format!("\nGoals that this run did not measure: {left_out}.\n");
    }
    text + "\nBeside a Collector, with the same rules and traces: `cargo xtask bench --peers`.\n"
}

fn row(goal: &Goal, value: f64) -> String {
    let (wanted, verdict) = match goal.bound {
        AtMost(most) => (format!("at most {}", short(most)), Some(value <= most)),
        AtLeast(least) => (format!("at least {}", short(least)), Some(value >= least)),
        Bound::None => (String::new(), None),
    };
    let verdict = match verdict {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    format!(
        "| {} | {wanted} | {} {} | {verdict} |\n",
        goal.what,
        short(value),
        goal.unit
    )
}

/// Three digits are more than can be trusted.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Figures by name; lines that are none are passed over.
fn read(figures: &str) -> BTreeMap<&str, f64> {
    let lines = figures.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter_map(|(name, value)| Some((name, value.trim().parse().ok()?)))
        .collect()
}

fn is_known(figure: &str) -> bool {
    GOALS.iter().any(|goal| goal.figure == figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_wanted_and_what_came() {
        let figures = "scan-by-prost 12.5\nflat-open 9\nflat-open 1.04\npeak-gib 1.75\nloopback-http-ns 812.4\nhm\n";
        let text = table("A machine, 2 cores", figures);
        assert!(text.starts_with("\nA machine, 2 cores\n\n| | goal |"));
        for line in [
            "| scan, and reading what rules read: prost's time by its own | at least 10.0 | 12.5 times | met |",
            "| 1,000 to 1,000,000 open traces: the dearest by the first | at most 1.25 | 1.04 times | met |",
            "| peak memory of a whole host under overload | at most 1.00 | 1.75 GiB | missed |",
            "| OTLP/HTTP protobuf |  | 812 ns a span |  |",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
        let goals = GOALS.iter().filter(|goal| goal.bound != Bound::None);
        let left_out = goals.count() - 3;
        assert!(
            text.contains(&format!("did not measure: {left_out}.")),
            "{text}"
        );
    }

    #[test]
    fn a_figure_without_a_goal_is_shown_as_one() {
        let text = table("", "flat-opne 1\n");
        assert!(
            text.contains("| `flat-opne`, which is no goal | | 1 | |"),
            "{text}"
        );
    }

    #[test]
    fn every_figure_that_a_bench_reports_has_a_goal_and_the_other_way_round() {
        let benches = crate::run::root().join("benches/benches");
        let mut sources = String::new();
        let mut folders = vec![benches];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => sources += &std::fs::read_to_string(path).unwrap(),
                }
            }
        }
        let ways = ["grpc-zstd", "http-zstd", "grpc-gzip", "http-gzip", "http"];
        for goal in GOALS {
            let literal = format!("\"{}\"", goal.figure);
            let of_a_way = goal
                .figure
                .strip_prefix("loopback-")
                .and_then(|rest| rest.strip_suffix("-ns"));
            let is_made =
                of_a_way.is_some_and(|way| ["10", "50"].contains(&way) || ways.contains(&way));
            assert!(is_made || sources.contains(&literal), "{}", goal.figure);
        }
        let reported = sources.split("report(\"").skip(1);
        for figure in reported.filter_map(|rest| rest.split('"').next()) {
            assert!(is_known(figure), "{figure}");
        }
    }
}
