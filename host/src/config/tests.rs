//! Settings from all four places, and what is said when they are wrong.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};

use super::*;
use crate::assemble::limits;
use crate::ingest;

fn flags(arguments: &[&str]) -> Flags {
    let command = Flags::augment_args(Command::new("serve").no_binary_name(true));
    let matches = command
        .try_get_matches_from(arguments)
        .expect("clap takes them");
    Flags::from_arg_matches(&matches).expect("all are known")
}

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn from_toml(text: &str) -> Result<Config, ConfigErrors> {
    let mut written = Written::default();
    written.read_toml(Path::new("/etc/betrace/betrace.toml"), text)?;
    Config::validate(&written)
}

fn from_flags(arguments: &[&str]) -> Result<Config, ConfigErrors> {
    Config::validate(&Written::collect(&flags(arguments), Vec::new())?)
}

fn message(result: Result<Config, ConfigErrors>) -> String {
    result.expect_err("it is wrong").to_string()
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("betrace.toml");
    std::fs::write(&path, "settle = \"1s\"\nidle = \"20s\"\nspan-cap = 7\n").expect("a file");
    let arguments = ["--config", path.to_str().expect("text"), "--settle", "3s"];
    let variables = environment(&[("BETRACE_SETTLE", "2s"), ("BETRACE_IDLE", "30s")]);
    let written = Written::collect(&flags(&arguments), variables).expect("all are known");
    let config = Config::validate(&written).expect("all are right");
    assert_eq!(config.settle, Duration::from_secs(3), "the flag");
    assert_eq!(config.idle, Duration::from_secs(30), "the environment");
    assert_eq!(config.span_cap, 7, "the file");
    assert_eq!(config.max_age, Duration::from_secs(600), "the default");
}

#[test]
fn the_environment_may_name_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("betrace.toml");
    std::fs::write(&path, "workers = 3").expect("a file");
    let variables = environment(&[("BETRACE_CONFIG", path.to_str().expect("text"))]);
    let written = Written::collect(&Flags::default(), variables).expect("it is there");
    assert_eq!(Config::validate(&written).expect("it is right").workers, 3);
}

#[test]
fn what_kubernetes_sets_for_a_service_called_betrace_is_passed_over() {
    let variables = environment(&[
        ("BETRACE_PORT", "tcp://10.0.0.1:4317"),
        ("BETRACE_SERVICE_HOST", "10.0.0.1"),
        ("BETRACE_SETTLE", ""),
    ]);
    let written = Written::collect(&Flags::default(), variables).expect("nothing is wrong");
    assert_eq!(
        Config::validate(&written).expect("nothing is wrong"),
        Config::default()
    );
}

#[test]
fn a_variable_that_is_almost_a_setting_is_told() {
    let names = [
        "BETRACE_SETLE",
        "BETRACE_OTLP_GRCP",
        "BETRACE_CONIFG",
        "BETRACE_SETTLE",
        "BETRACE_LOG",
        "BETRACE_CONFIG",
        "BETRACE_HOME_PAGE_OF_THE_TEAM",
        "BETRACE_PORT",
        "BETRACE_PORT_4317_TCP_ADDR",
        "BETRACE_SERVICE_HOST",
        "BETRACE_SERVICE_PORT_OTLP_GRPC",
        "SETLE",
    ];
    let told = misspelt(names.map(OsString::from));
    let told: Vec<(&str, &str)> = told.iter().map(|(n, m)| (n.as_str(), m.as_str())).collect();
    assert_eq!(
        told,
        [
            ("BETRACE_CONIFG", "BETRACE_CONFIG"),
            ("BETRACE_OTLP_GRCP", "BETRACE_OTLP_GRPC"),
            ("BETRACE_SETLE", "BETRACE_SETTLE"),
        ]
    );
}

#[test]
fn defaults_are_those_of_the_stages() {
    let config = Config::default();
    assert_eq!(ingest::Limits::from(&config), ingest::Limits::default());
    assert_eq!(config.in_flight, ingest::IN_FLIGHT_BYTES);
    let of_assembly = limits::Limits {
        settle: config.settle,
        idle: config.idle,
        max_age: config.max_age,
        trace_spans: u32::try_from(config.span_cap).expect("it fits"),
        trace_bytes: config.byte_cap as u64,
        memory_bytes: (config.memory / config.workers) as u64,
        remember: config.decided_for,
        remember_traces: u32::try_from(config.decided_traces).expect("it fits"),
        batch_spans: u32::try_from(config.batch_spans).expect("it fits"),
        batch_bytes: config.batch_bytes as u64,
        dead_bytes: config.dead_bytes as u64,
    };
    assert_eq!(of_assembly, limits::Limits::default());
    assert_eq!(config.signal_ids, crate::sinks::DEFAULT_IDS);
    assert_eq!(config.otlp_grpc.as_deref(), Some("127.0.0.1:4317"));
    assert!(matches!(config.require_rules(), Err(ConfigError::NoRules)));
}

#[test]
fn a_command_has_defaults_of_its_own() {
    let written = Written::default().or_default("settle", "500ms");
    assert_eq!(
        Config::validate(&written).expect("right").settle,
        Duration::from_millis(500)
    );
    let written = Written::collect(&flags(&["--settle", "1s"]), Vec::new()).expect("right");
    let config = Config::validate(&written.or_default("settle", "500ms")).expect("right");
    assert_eq!(config.settle, Duration::from_secs(1));
}

/// Each setting reaches validation: given nonsense, an error names it as it was written.
#[test]
fn every_setting_is_read_from_every_place() {
    for setting in SETTINGS {
        if matches!(setting.kind, Kind::Paths | Kind::Signals | Kind::Folder) {
            continue;
        }
        let flag = format!("--{}", setting.name);
        assert!(
            message(from_flags(&[&flag, "nonsense"]))
                .starts_with(&format!("`{flag}`: `nonsense` is not"))
        );
        let variable = setting.variable();
        let written = Written::collect(&Flags::default(), environment(&[(&variable, "nonsense")]));
        let error = message(Config::validate(&written.expect("the name is known")));
        assert!(
            error.starts_with(&format!("`{variable}`: `nonsense` is not")),
            "{error}"
        );
        let error = message(from_toml(&format!("{} = \"nonsense\"", setting.name)));
        let place = format!(
            "`{}` in /etc/betrace/betrace.toml: `nonsense` is not",
            setting.name
        );
        assert!(error.starts_with(&place), "{error}");
    }
}

#[test]
fn paths_come_as_lists() {
    let config = from_flags(&["--rules", "a.betrace", "b", "--rules", "c.wasm"]).expect("right");
    assert_eq!(
        config.rules,
        ["a.betrace", "b", "c.wasm"].map(PathBuf::from)
    );
    let config = from_toml("rules = [\"rules\", \"/srv/more\"]\nsignals = \"signals.jsonl\"")
        .expect("right");
    assert_eq!(
        config.rules,
        ["/etc/betrace/rules", "/srv/more"].map(PathBuf::from)
    );
    assert_eq!(
        config.signals,
        SignalsTarget::File("/etc/betrace/signals.jsonl".into())
    );
    assert_eq!(
        from_toml("rules = \"rules\"").expect("right").rules,
        [PathBuf::from("/etc/betrace/rules")]
    );
    assert_eq!(
        from_toml("signals = \"stdout\"").expect("right").signals,
        SignalsTarget::Stdout
    );
    let written = Written::collect(&Flags::default(), environment(&[("BETRACE_RULES", "a:b")]))
        .expect("known");
    assert_eq!(
        Config::validate(&written).expect("right").rules,
        ["a", "b"].map(PathBuf::from)
    );
}

#[test]
fn listeners_can_be_off() {
    let config = from_flags(&["--otlp-grpc", "off", "--otlp-http", "[::1]:0"]).expect("right");
    assert_eq!(
        (config.otlp_grpc, config.otlp_http.as_deref()),
        (None, Some("[::1]:0"))
    );
}

#[test]
fn errors_name_the_place_and_show_what_would_be_right() {
    insta::assert_snapshot!(message(from_flags(&["--settle", "6", "--memory", "lots", "--otlp-http", "4318"])), @r"
    `--otlp-http`: `4318` is not an address: write host:port, such as `127.0.0.1:4318`, or `off`
    `--settle`: `6` has no unit: write a duration such as `500ms`, `6s` or `10m`
    `--memory`: `lots` is not a size: write a number and a unit, such as `512KiB`, `64MiB` or `1GiB`
    ");
    insta::assert_snapshot!(message(from_toml("setle = \"6s\"\notlp_grpc = \"off\"\ncolour = 1")), @r"
    there is no setting `colour` (/etc/betrace/betrace.toml)
    there is no setting `otlp_grpc` (/etc/betrace/betrace.toml): did you mean `otlp-grpc`?
    there is no setting `setle` (/etc/betrace/betrace.toml): did you mean `settle`?
    ");
    insta::assert_snapshot!(message(from_toml("settle = 6\nworkers = true\nrules = [1]")), @r#"
    `rules` in /etc/betrace/betrace.toml: the number 1 is not what it takes: write it like `rules = ["rules"]`
    `settle` in /etc/betrace/betrace.toml: the number 6 is not what it takes: write it like `settle = "6s"`
    `workers` in /etc/betrace/betrace.toml: a TOML boolean is not what it takes: write it like `workers = "auto"`
    "#);
    insta::assert_snapshot!(message(from_flags(&["--settle", "2m", "--request-limit", "1GiB", "--span-cap", "0"])), @"`--span-cap`: `0` is out of range: from 1 to 10000000");
    insta::assert_snapshot!(message(from_flags(&["--settle", "2m", "--request-limit", "1GiB"])), @r"
    `settle` is larger than `idle`: a trace would never settle, as it would be idle first
    `three times request-limit` is larger than `in-flight`: the largest request needs that much while it is inflated
    ");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let read = |path: &Path| {
        let arguments = ["--config", path.to_str().expect("text")];
        Written::collect(&flags(&arguments), Vec::new())
            .expect_err("it is wrong")
            .to_string()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.toml");
    assert!(read(&missing).starts_with(&format!(
        "can't read the configuration file `{}`",
        missing.display()
    )));
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "settle = ").expect("a file");
    assert!(read(&broken).contains("is not valid TOML"));
    let large = folder.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; 2 << 20]).expect("a file");
    assert!(read(&large).contains("is larger than 1048576 bytes"));
}

#[test]
fn help_lists_every_flag_with_its_default() {
    let help = Flags::augment_args(Command::new("serve").term_width(0))
        .render_long_help()
        .to_string();
    for setting in SETTINGS {
        assert!(
            help.contains(&format!("--{}", setting.name)),
            "{}",
            setting.name
        );
        assert!(
            help.contains(&format!("[default: {}]", setting.default)),
            "{}",
            setting.name
        );
    }
}

#[cfg(feature = "engine")]
#[test]
fn defaults_are_those_of_the_engine() {
    let config = Config::default();
    let ours = crate::engine::EngineLimits {
        workers: config.workers,
        deadline: config.rule_deadline,
        memory_bytes: config.rule_memory,
        keep_bytes: config.rule_keep,
        stack_bytes: config.rule_stack,
        table_elements: config.rule_table,
        call_bytes: config.rule_call,
        trace_bytes: config.rule_trace,
        result_bytes: config.rule_result,
        findings: config.rule_findings,
        component_bytes: config.rule_component,
        compile: config.rule_compile,
        breaker: crate::engine::BreakerLimits {
            faults: u32::try_from(config.breaker_faults).expect("it is in its range"),
            window: config.breaker_window,
            back_off: config.breaker_back_off,
            longest_back_off: config.breaker_longest,
        },
        ..crate::engine::EngineLimits::for_workers(config.workers)
    };
    assert_eq!(ours, crate::engine::EngineLimits::default());
}
