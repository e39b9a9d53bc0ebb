//! The table, as lines of at most so many columns. Pure: what is on the screen is told by what the host answered.

use super::rates::{Rates, Row, Sort};
use crate::api::Usage;
use crate::rules::update::RuleState;
use crate::sinks::paint::{Paint, Style};
use crate::sinks::text::{clean, column, duration, many, width};

/// Columns that a rule's name has at least: others go before it has less.
const LEAST_NAME: usize = 14;

/// What the screen is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) paint: Paint,
    pub(super) columns: usize,
    /// Rules that there is room for.
    pub(super) rows: usize,
    pub(super) sort: Sort,
}

/// A column beside the name.
struct Column {
    title: &'static str,
    columns: usize,
    /// Which go first where there is no room: the largest.
    spare: u8,
    cell: fn(&Row) -> String,
    sort: Option<Sort>,
}

const COLUMNS: [Column; 8] = [
    Column {
        title: "STATE",
        columns: 11,
        spare: 2,
        cell: |row| row.state.word().to_owned(),
        sort: None,
    },
    Column {
        title: "CPU%",
        columns: 6,
        spare: 0,
        cell: |row| format!("{:.1}", row.cpu),
        sort: Some(Sort::Cpu),
    },
    Column {
        title: "EVALS/S",
        columns: 7,
        spare: 3,
        cell: |row| short(row.evaluations),
        sort: Some(Sort::Evaluations),
    },
    Column {
        title: "SKIPPED/S",
        columns: 9,
        spare: 7,
        cell: |row| short(row.skipped),
        sort: None,
    },
    Column {
        title: "SIGNALS/S",
        columns: 9,
        spare: 4,
        cell: |row| short(row.signals),
        sort: Some(Sort::Signals),
    },
    Column {
        title: "FAULTS",
        columns: 6,
        spare: 5,
        cell: |row| short(row.faults as f64),
        sort: Some(Sort::Faults),
    },
    Column {
        title: "P50",
        columns: 8,
        spare: 6,
        cell: |row| time(row.p50),
        sort: None,
    },
    Column {
        title: "P99",
        columns: 8,
        spare: 1,
        cell: |row| time(row.p99),
        sort: Some(Sort::P99),
    },
];

/// The lines of the table: two of the host, a heading, the rules.
pub(super) fn draw(usage: &Usage, rates: &Rates, look: &Look) -> Vec<String> {
    let shown = columns(look.columns);
    let mut lines = vec![host(usage, rates, look), states(rates, look)];
    lines.push(String::new());
    lines.push(heading(&shown, look));
    for row in rates.rules.iter().take(look.rows) {
        lines.push(line(row, &shown, look));
    }
    let more = rates.rules.len().saturating_sub(look.rows);
    if more > 0 {
        let more = clean(&format!("… {more} more"), look.columns);
        lines.push(look.paint.paint(Style::Faint, &more));
    }
    lines
}

fn host(usage: &Usage, rates: &Rates, look: &Look) -> String {
    let mut parts = vec![
        format!("betrace {}", usage.version),
        format!("up {}", duration(nanoseconds(usage.uptime_seconds))),
        format!("{} spans/s", short(rates.spans)),
        format!("lag {}", duration(nanoseconds(rates.lag))),
        format!("{} traces/s", short(rates.traces)),
        format!("{} open", many(usage.open_traces, "trace")),
        format!(
            "{} memory",
            bytes(usage.memory_bytes.saturating_add(usage.in_flight_bytes))
        ),
    ];
    if rates.overload > 0.0 {
        parts.insert(
            4,
            format!("{} requests/s turned away", short(rates.overload)),
        );
    }
    let line = clean(&parts.join("   "), look.columns);
    let is_late = rates.overload > 0.0 || rates.lag > 1.0;
    match is_late {
        true => look.paint.paint(Style::Doubtful, &line),
        false => line,
    }
}

fn states(rates: &Rates, look: &Look) -> String {
    let mut parts = vec![many(rates.rules.len() as u64, "rule")];
    for state in RuleState::ALL {
        let count = rates.rules.iter().filter(|row| row.state == state).count();
        if count > 0 && (state != RuleState::Active || count < rates.rules.len()) {
            parts.push(format!("{count} {}", state.word()));
        }
    }
    clean(&parts.join("   "), look.columns)
}

/// The columns that there is room for beside the name.
fn columns(all: usize) -> Vec<&'static Column> {
    let mut shown: Vec<&Column> = COLUMNS.iter().collect();
    let taken = |shown: &[&Column]| shown.iter().map(|c| c.columns + 1).sum::<usize>();
    while taken(&shown) + LEAST_NAME > all && shown.len() > 1 {
        let most = shown.iter().map(|column| column.spare).max();
        shown.retain(|column| Some(column.spare) != most);
    }
    shown
}

fn name_columns(shown: &[&Column], all: usize) -> usize {
    let taken: usize = shown.iter().map(|column| column.columns + 1).sum();
    all.saturating_sub(taken).max(1)
}

fn heading(shown: &[&Column], look: &Look) -> String {
    let mut line = column("RULE", name_columns(shown, look.columns));
    for column in shown {
        let is_sort = column.sort == Some(look.sort);
        let title = match is_sort {
            true => format!("{}▾", column.title),
            false => column.title.to_owned(),
        };
        line.push_str(&cell(&title, column));
    }
    look.paint.paint(Style::Strong, line.trim_end())
}

fn line(row: &Row, shown: &[&Column], look: &Look) -> String {
    let mut line = column(&row.id, name_columns(shown, look.columns));
    for column in shown {
        line.push_str(&cell(&(column.cell)(row), column));
    }
    let line = line.trim_end();
    match row.state {
        RuleState::Active => line.to_owned(),
        RuleState::LastGood | RuleState::RolledBack | RuleState::Slow => {
            look.paint.paint(Style::Doubtful, line)
        }
        RuleState::Broken | RuleState::Quarantined => look.paint.paint(Style::Bad, line),
    }
}

/// A blank, and what stands in a column: numbers to the right, words to the left.
fn cell(text: &str, of: &Column) -> String {
    if of.sort.is_none() && of.title == "STATE" {
        return format!(" {}", column(text, of.columns));
    }
    // A heading with its mark may be wider by it, and takes the blank.
    let fill = (of.columns + 1).saturating_sub(width(text));
    format!("{}{text}", " ".repeat(fill))
}

/// A number in four characters or so: `0`, `0.25`, `12.3`, `4.8k`, `1.20M`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        1e9.. => (value / 1e9, "G"),
        999_500.0.. => (value / 1e6, "M"),
        9_999.5.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    match scaled {
        _ if scaled.fract() == 0.0 && unit.is_empty() => format!("{scaled:.0}"),
        99.95.. => format!("{scaled:.0}{unit}"),
        9.995.. => format!("{scaled:.1}{unit}"),
        _ => format!("{scaled:.2}{unit}"),
    }
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| duration(nanoseconds(seconds)))
}

fn nanoseconds(seconds: f64) -> u64 {
    // What is no time of a host saturates.
    (seconds * 1e9) as u64
}

fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.*} {}", usize::from(value < 99.95), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::super::rates::{rates, sort};
    use super::*;
    use crate::api::{RuleUsage, ShardUsage};

    fn rule(id: &str, state: RuleState, seconds: f64, evaluations: u64) -> RuleUsage {
        RuleUsage {
            id: id.to_owned(),
            state,
            seconds,
            evaluations,
            traces: evaluations * 10,
            skipped: evaluations * 1_000,
            passed_over: 0,
            unjudged: 0,
            signals: evaluations / 4,
            faults: 0,
            p50_seconds: Some(0.000_012),
            p99_seconds: Some(0.000_450),
        }
    }

    fn usage(uptime_seconds: f64, rules: Vec<RuleUsage>) -> Usage {
        Usage {
            version: "0.1.0".to_owned(),
            uptime_seconds,
            spans: (uptime_seconds * 250_000.0) as u64,
            overload: 0,
            traces: (uptime_seconds * 25_000.0) as u64,
            open_traces: 31_204,
            memory_bytes: 412 << 20,
            in_flight_bytes: 0,
            shards: [0.0, 0.012]
                .map(|lag_seconds| ShardUsage {
                    lag_seconds,
                    lagging_turns: 0,
                })
                .into(),
            rules,
        }
    }

    fn two() -> (Usage, Usage) {
        let before = usage(
            100.0,
            vec![
                rule("checkout-budget", RuleState::Active, 1.0, 1_000),
                rule("payment-fraud-check", RuleState::Slow, 40.0, 400),
                rule("silent", RuleState::Active, 0.0, 0),
            ],
        );
        let mut after = usage(
            102.0,
            vec![
                rule("checkout-budget", RuleState::Active, 1.005, 1_100),
                rule("payment-fraud-check", RuleState::Slow, 40.5, 420),
                rule("silent", RuleState::Active, 0.0, 0),
                rule("eu-data-stays-in-eu", RuleState::Quarantined, 0.1, 10),
            ],
        );
        after.rules[2].p50_seconds = None;
        after.rules[2].p99_seconds = None;
        after.rules[3].faults = 5;
        (before, after)
    }

    fn look(columns: usize) -> Look {
        Look {
            paint: Paint { color: false },
            columns,
            rows: 100,
            sort: Sort::Cpu,
        }
    }

    fn drawn(look: &Look) -> String {
        let (before, after) = two();
        let mut rates = rates(Some(&before), &after);
        sort(&mut rates.rules, look.sort);
        draw(&after, &rates, look).join("\n")
    }

    #[test]
    fn the_table_has_what_rules_did_in_a_second() {
        insta::assert_snapshot!(drawn(&look(110)));
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_no_line_is_wider() {
        insta::assert_snapshot!(drawn(&look(60)));
        for columns in 1..140 {
            for line in drawn(&look(columns)).lines() {
                // The last column stays, whatever there is no room for.
                assert!(width(line) <= columns.max(8), "{columns}: {line}");
            }
        }
    }

    #[test]
    fn rows_beyond_the_screen_are_counted() {
        let few = Look {
            rows: 2,
            sort: Sort::Faults,
            ..look(110)
        };
        let text = drawn(&few);
        assert!(text.ends_with("\n… 2 more"), "{text}");
        assert!(text.contains("FAULTS▾"), "{text}");
        let first = text.lines().nth(4).expect("a row");
        assert!(first.starts_with("eu-data-stays-in-eu"), "{text}");
    }

    #[test]
    fn colour_marks_what_is_wrong_and_nothing_else() {
        let painted = Look {
            paint: Paint { color: true },
            ..look(110)
        };
        let text = drawn(&painted);
        let line = |id: &str| text.lines().find(|line| line.contains(id)).expect("a row");
        assert!(line("eu-data").starts_with("\x1b[31;1m"));
        assert!(line("payment").starts_with("\x1b[33m"));
        assert!(!line("checkout").contains('\x1b'));
    }

    #[test]
    fn a_host_that_was_restarted_is_told_of_since_its_start() {
        let (mut before, after) = two();
        before.uptime_seconds = 5_000.0;
        let rates = rates(Some(&before), &after);
        assert!((rates.rules[1].cpu - 100.0 * 40.5 / 102.0).abs() < 1e-6);
        assert!((rates.spans - 250_000.0).abs() < 1.0);
    }

    #[test]
    fn names_of_rules_can_not_write_to_the_terminal() {
        let (_, mut after) = two();
        after.rules[0].id = "a\x1b[2Jb".to_owned();
        let rates = rates(None, &after);
        assert!(!draw(&after, &rates, &look(110)).join("\n").contains('\x1b'));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (12.345, "12.3"),
            (412.0, "412"),
            (9_999.0, "9999"),
            (9_999.6, "10.0k"),
            (999_400.0, "999k"),
            (1_200_000.0, "1.20M"),
            (3e9, "3.00G"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(
            [0, 1_536, 412 << 20].map(bytes),
            ["0.0 KiB", "1.5 KiB", "412 MiB"]
        );
    }
}
