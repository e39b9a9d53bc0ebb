//! `betrace config show` and `betrace completions`, and the log, as a user meets them.
#![cfg(feature = "engine")]

mod support;

use std::process::Output;

use serde_json::Value;
use support::{Serve, betrace};

/// With nothing of this machine's environment.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = betrace(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BETRACE_") {
            command.env_remove(name);
        }
    }
    let command = command
        .env_remove("BETRACE_LOG_FORMAT")
        .envs(environment.iter().copied());
    command.output().expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn show_prints_every_setting_in_effect_and_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("betrace.toml");
    let settings =
        "rules = [\"/srv/rules\"]\nidle = \"1.5m\"\nworkers = 3\nbyte-cap = \"2048KiB\"\n";
    std::fs::write(&file, settings).expect("it is written");
    let file = file.to_str().expect("text");
    let arguments = [
        "config",
        "show",
        "--config",
        file,
        "--settle",
        "2000ms",
        "--span-cap",
        "9_000",
    ];
    let variables = [
        ("BETRACE_SIGNALS", "/var/log/\"odd\".jsonl"),
        ("BETRACE_SETTLE", "9s"),
    ];
    let shown = run(&arguments, &variables);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let page = text(&shown.stdout);
    insta::assert_snapshot!("config_show", page.replace(file, "FILE"));

    // It is a configuration file that means the same.
    let again = folder.path().join("again.toml");
    std::fs::write(&again, &page).expect("it is written");
    let again = again.to_str().expect("text");
    let values = |page: &str| -> Vec<String> {
        let values = page
            .lines()
            .map(|line| line.split(" # ").next().unwrap_or_default());
        values.map(|value| value.trim_end().to_owned()).collect()
    };
    let shown = run(&["config", "show", "--config", again], &[]);
    assert_eq!(
        values(&text(&shown.stdout)),
        values(&page),
        "{}",
        text(&shown.stderr)
    );

    let shown = run(&[&arguments[..], &["--json"]].concat(), &variables);
    let json: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let lines = values(&page);
    let settings = lines.iter().filter(|line| line.contains(" = ")).count();
    assert_eq!(json.as_object().expect("an object").len(), settings);
    for (name, member) in [
        (
            "settle",
            r#"{"default":"6s","from":"flag","value":"2s","where":"--settle"}"#,
        ),
        (
            "workers",
            &format!(r#"{{"default":"auto","from":"file","value":3,"where":"{file}"}}"#),
        ),
        (
            "memory",
            r#"{"default":"auto","from":"default","resolved":"1536MiB","value":"auto"}"#,
        ),
        (
            "rules",
            &format!(r#"{{"default":[],"from":"file","value":["/srv/rules"],"where":"{file}"}}"#),
        ),
    ] {
        assert_eq!(json[name].to_string(), member, "{name}");
    }
    assert_eq!(json["signals"]["where"], "BETRACE_SIGNALS");
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of() {
    let shown = run(
        &["config", "show"],
        &[("BETRACE_SETLE", "9s"), ("BETRACE_PORT", "1")],
    );
    assert!(shown.status.success());
    assert_eq!(
        text(&shown.stderr),
        "warning: nothing reads `BETRACE_SETLE`: did you mean `BETRACE_SETTLE`?\n"
    );
    let variables = [("BETRACE_SETLE", "9s"), ("BETRACE_LOG_FORMAT", "text")];
    let failed = run(&["serve", "--rules", "/no/such/folder"], &variables);
    assert!(text(&failed.stderr).starts_with("warning: nothing reads `BETRACE_SETLE`"));
}

#[test]
fn help_breaks_a_line_once() {
    for command in [
        "serve", "dev", "explain", "replay", "compile", "demo", "check",
    ] {
        let help = text(&run(&[command, "--help"], &[]).stdout);
        // A paragraph that was broken by hand and by the terminal has short lines within.
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2) {
            let [line, next] = pair else { continue };
            let is_prose = |line: &str| line.starts_with(|c: char| c.is_alphabetic() || c == '`');
            if !is_prose(line) || !is_prose(next) || line.ends_with(':') {
                continue;
            }
            let word = next.split(' ').next().unwrap_or_default();
            let has_room = line.chars().count() + 1 + word.chars().count() <= 100;
            let is_end = line.ends_with('.');
            assert!(
                !has_room || is_end,
                "{command}: `{line}` is broken before `{next}`"
            );
        }
    }
}

#[test]
fn show_says_all_that_is_wrong_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("betrace.toml");
    std::fs::write(&file, "setle = \"1s\"\nmemory = 3\nidle = \"5x\"\n").expect("it is written");
    let file = file.to_str().expect("text");
    let arguments = ["config", "show", "--config", file, "--span-cap", "x"];
    let shown = run(
        &arguments,
        &[("BETRACE_TRACES_ENDPOINT", "https://collector:4317")],
    );
    assert_eq!(shown.status.code(), Some(2));
    assert_eq!(shown.stdout, b"");
    insta::assert_snapshot!(text(&shown.stderr).replace(file, "FILE"), @r#"
    error: `memory` in FILE: the number 3 is not what it takes: write it like `memory = "auto"`
    there is no setting `setle` (FILE): did you mean `settle`?
    `BETRACE_TRACES_ENDPOINT`: `https://collector:4317` is not an endpoint that can be reached: TLS is not built in, so write the `http://` URL of a Collector nearby
    `idle` in FILE: `x` is not a unit of a duration: use ns, us, ms, s, m or h, as in `500ms`, `6s` or `10m`
    `--span-cap`: `x` is not a whole number: write it like `50000`
     help: `betrace serve --help` lists all settings
    "#);
}

#[test]
fn completions_of_each_shell_hold_all_flags() {
    let help = text(&run(&["serve", "--help"], &[]).stdout);
    let flags: Vec<&str> = help
        .lines()
        .filter_map(|line| {
            line.trim_start()
                .strip_prefix("--")?
                .split([' ', '='])
                .next()
        })
        .collect();
    assert!(flags.len() > 40 && flags.contains(&"max-age"), "{flags:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&["completions", shell], &[]);
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        let script = text(&ended.stdout);
        for flag in &flags {
            assert!(
                script.contains(flag),
                "--{flag} is not in the script of {shell}"
            );
        }
        for word in ["replay", "completions", "json"] {
            assert!(
                script.contains(word),
                "{word} is not in the script of {shell}"
            );
        }
    }
    let help = text(&run(&["completions", "--help"], &[]).stdout);
    assert!(
        help.contains("bash-completion/completions/betrace"),
        "{help}"
    );
    assert_eq!(run(&["completions", "tcsh"], &[]).status.code(), Some(2));
}

/// The script is read by the shell that it is for, and completes.
#[test]
fn bash_completes_a_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("betrace.bash");
    std::fs::write(&file, run(&["completions", "bash"], &[]).stdout).expect("it is written");
    let asked = "source \"$0\"; COMP_WORDS=(betrace serve --settl); COMP_CWORD=2; _betrace betrace --settl serve; \
                 printf '%s\\n' \"${COMPREPLY[@]}\"";
    let answered = std::process::Command::new("bash")
        .args(["--norc", "-c", asked])
        .arg(&file)
        .output()
        .expect("bash is there");
    assert_eq!(
        text(&answered.stdout),
        "--settle\n",
        "{}",
        text(&answered.stderr)
    );
}

#[test]
fn off_a_terminal_a_served_host_logs_nothing_but_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("good.betrace");
    std::fs::write(&good, "when { a } always { b }\n").expect("it is written");
    std::fs::write(folder.path().join("bad.betrace"), "when {\n").expect("it is written");
    let rules = folder.path().to_str().expect("text");
    let serve = Serve::with_environment(&["--rules", rules], &[("BETRACE_LOG_FORMAT", "auto")]);
    let greeting = serve.greeting.clone();
    let (_, rest, status) = serve.terminate();
    assert!(status.success(), "{rest:?}");
    let lines: Vec<Value> = [greeting, rest]
        .concat()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let said = |level: &str, text: &str| {
        let is_said = |line: &Value| {
            line["level"] == level && line["message"].as_str().is_some_and(|m| m.contains(text))
        };
        assert!(
            lines.iter().any(is_said),
            "no {level} `{text}` in {lines:#?}"
        );
    };
    said("INFO", "betrace: OTLP/gRPC on 127.0.0.1:");
    said("ERROR", "bad.betrace");
    said("INFO", "betrace: 0 traces");

    let failed = run(&["serve", "--rules", "/no/such/folder"], &[]);
    assert_eq!(failed.status.code(), Some(2));
    for line in text(&failed.stderr).lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(line["level"], "ERROR");
    }
}
