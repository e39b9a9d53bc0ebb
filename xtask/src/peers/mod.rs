//! `cargo xtask bench --peers`: BeTrace and a Collector with tail sampling, the same traces and the same hundred rules.
//!
//! ```text
//! rules -> shop.betrace, collector-*.yaml ─> server process <─ `betrace load` in a process of its own
//!                                              └ /proc: CPU time and peak memory, from before the first request until
//!                                                nothing is left to do
//! ```

mod rules;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, cargo, root, run, say};
use crate::{clients, machine};
use rules::{DECISION_WAIT_S, collector, conditions, dsl};
use server::{Cost, Server};

const SPANS: u64 = 1_000_000;

/// Signals of BeTrace, and what the Collector says of itself, in this file beside its configuration.
const LOG: &str = "server.log";

/// What is measured: what a row is called, and the server.
struct Row {
    title: &'static str,
    kind: Kind,
}

enum Kind {
    /// Rules over so many names.
    BeTrace(u64),
    /// So many policies, over so many names.
    Collector(u64, u64),
}

const ROWS: [Row; 6] = [
    Row {
        title: "Collector: receive and drop",
        kind: Kind::Collector(0, 1),
    },
    Row {
        title: "Collector: tail sampling, 1 policy",
        kind: Kind::Collector(1, 1),
    },
    Row {
        title: "Collector: tail sampling, 100 policies over 100 names",
        kind: Kind::Collector(100, 100),
    },
    Row {
        title: "Collector: tail sampling, 100 policies over 20 names",
        kind: Kind::Collector(100, 20),
    },
    Row {
        title: "BeTrace, 100 rules over 100 names: 10 concern a trace",
        kind: Kind::BeTrace(100),
    },
    Row {
        title: "BeTrace, 100 rules over 20 names: 50 concern a trace",
        kind: Kind::BeTrace(20),
    },
];

/// Rows that the ratio is of.
const PAIRS: [(usize, usize); 3] = [(2, 4), (3, 5), (0, 4)];

pub(crate) fn bench() -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::new(
            "CPU time and memory of other processes are read as Linux tells them",
        ));
    }
    let otelcol = clients::collector_alone()?
        .ok_or_else(|| Failure::new("without `go` there is no Collector to compare with"))?;
    run(&mut cargo(["build", "--release", "--package", "betrace"]))?;
    let betrace = betrace();
    let mut costs = Vec::new();
    for row in &ROWS {
        eprintln!("xtask: {} ...", row.title);
        costs.push(measure(row, &betrace, &otelcol)?);
    }
    say(&table(&costs));
    Ok(())
}

fn betrace() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root().join("target"), PathBuf::from);
    target.join("release/betrace")
}

fn measure(row: &Row, betrace: &Path, otelcol: &Path) -> Result<Cost, Failure> {
    let home = root().join("target/peers");
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", home.display()));
    fs::create_dir_all(&home).map_err(failed)?;
    let address = server::free_address().map_err(failed)?;
    let (file, text) = match row.kind {
        Kind::BeTrace(names) => ("shop.betrace", dsl(&conditions(names))),
        Kind::Collector(policies, names) => {
            let mut conditions = conditions(names);
            conditions.truncate(policies as usize);
            ("collector.yaml", collector(&conditions, &address))
        }
    };
    let file = home.join(file);
    fs::write(&file, text).map_err(failed)?;
    let log = fs::File::create(home.join(LOG)).map_err(failed)?;
    let mut command = match row.kind {
        Kind::BeTrace(_) => {
            let mut command = Command::new(betrace);
            command
                .args(["serve", "--otlp-http", "off", "--api", "off"])
                .args(["--otlp-grpc", &address, "--workers", "1"])
                .args(["--settle", &format!("{DECISION_WAIT_S}s")])
                .args(["--idle", &format!("{}s", 2 * DECISION_WAIT_S)])
                .args(["--signals", "/dev/null", "--rules"])
                .arg(&file);
            command
        }
        Kind::Collector(..) => {
            let mut command = Command::new(otelcol);
            command.arg("--config").arg(&file);
            command
        }
    };
    let server = Server::start(&mut command, log, &address)?;
    let before = server.cpu()?;
    let mut sender = Command::new(betrace);
    sender
        .args(["load", &address, "--spans", &SPANS.to_string()])
        .args(["--seed", "1", "--connections", "5"]);
    run(&mut sender)?;
    let waits = !matches!(row.kind, Kind::Collector(0, _));
    server.settled(waits.then_some(DECISION_WAIT_S))?;
    Ok(Cost {
        cpu: server.cpu()?.saturating_sub(before),
        peak_kib: server.peak_kib()?,
    })
}

fn table(costs: &[Cost]) -> String {
    let mut text = format!(
        "\n{}\n\n| | CPU a span | spans per CPU second | peak memory |\n| --- | --- | --- | --- |\n",
        machine::describe()
    );
    for (row, cost) in ROWS.iter().zip(costs) {
        text += &format!(
            "| {} | {:.2} us | {:.0},000 | {:.2} GiB |\n",
            row.title,
            us_a_span(cost),
            1e3 / us_a_span(cost),
            cost.peak_kib as f64 / f64::from(1 << 20),
        );
    }
    for (theirs, ours) in PAIRS {
        if let (Some(a), Some(b)) = (costs.get(theirs), costs.get(ours)) {
            text += &format!(
                "\n{:.1} times the CPU time and {:.1} times the memory: {} beside {}",
                us_a_span(a) / us_a_span(b),
                a.peak_kib as f64 / b.peak_kib.max(1) as f64,
                ROWS[theirs].title,
                ROWS[ours].title,
            );
        }
    }
    text
}

fn us_a_span(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64() * 1e6 / SPANS as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_table_has_a_row_a_server_and_the_ratios() {
        let costs: Vec<Cost> = (1..=6)
            .map(|n| Cost {
                cpu: Duration::from_secs(60 / n),
                peak_kib: (1 << 20) * 6 / n,
            })
            .collect();
        let text = table(&costs);
        assert!(text.contains(
            "BeTrace, 100 rules over 20 names: 50 concern a trace | 10.00 us | 100,000 | 1.00 GiB |"
        ));
        assert!(
            text.contains("1.7 times the CPU time and 1.7 times the memory: Collector: tail"),
            "{text}"
        );
    }
}
