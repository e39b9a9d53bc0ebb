//! The commands as a user runs them: what they print, where, and how they exit.
#![cfg(feature = "engine")]

mod guests;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use betrace::demo::call::record;
use betrace::demo::export::Exporters;
use betrace::demo::faults::FAULTS;
use betrace::demo::random::Random;
use betrace::demo::shop;
use guests::{Describe, component};
use prost::Message;
use serde_json::Value;

const START: u64 = 1_771_000_000_000_000_000;

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn betrace(arguments: &[&str], stdin: Option<&Path>) -> Ended {
    let stdin = stdin.map_or_else(Stdio::null, |path| {
        std::fs::File::open(path).unwrap().into()
    });
    let output = Command::new(env!("CARGO_BIN_EXE_betrace"))
        .args(arguments)
        .stdin(stdin)
        .env_remove("NO_COLOR")
        .env("BETRACE_LOG_FORMAT", "text")
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn rules() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../rules")
        .display()
        .to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with recorded traces: every fault once among correct visits, in two files, each with parts of every trace.
fn recording(folder: &Path) -> [PathBuf; 2] {
    let mut random = Random::new(3);
    let mut exporters = Exporters::default();
    for _ in 0..30 {
        let visit = shop::visit(&mut random);
        exporters.add(record(&visit, START, &mut random));
    }
    for fault in FAULTS {
        let story = fault.happen(&mut random);
        exporters.add(record(&story, START, &mut random));
    }
    let paths = ["one.pb", "two.pb"].map(|name| folder.join(name));
    let mut files = [Vec::new(), Vec::new()];
    for (index, request) in exporters.flush_all().iter().enumerate() {
        request.encode(&mut files[index % 2]).unwrap();
    }
    for (path, bytes) in paths.iter().zip(files) {
        std::fs::write(path, bytes).unwrap();
    }
    paths
}

/// A correct trace.
fn quiet(folder: &Path) -> PathBuf {
    let mut random = Random::new(3);
    let mut exporters = Exporters::default();
    let order = shop::Order::random(&mut random);
    exporters.add(record(&shop::add_to_cart(&order), START, &mut random));
    let bytes: Vec<u8> = exporters
        .flush_all()
        .iter()
        .flat_map(Message::encode_to_vec)
        .collect();
    let path = folder.join("quiet.pb");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn replay_assembles_over_all_inputs_and_prints_a_signal_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = recording(folder.path());
    let ended = betrace(
        &["replay", "--rules", &rules(), text(&one), text(&two)],
        None,
    );
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let signals: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut fired: Vec<&str> = signals
        .iter()
        .map(|signal| signal["rule"].as_str().unwrap())
        .collect();
    let mut expected: Vec<&str> = FAULTS.iter().map(|fault| fault.breaks).collect();
    fired.sort_unstable();
    expected.sort_unstable();
    assert_eq!(fired, expected);
    assert!(
        signals
            .iter()
            .all(|signal| signal["completeness"] == "root")
    );
    assert!(ended.stderr.contains("42 traces of"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("11 rules: 12 signals"),
        "{}",
        ended.stderr
    );

    // Half of the spans is another story, and again the same.
    let half = || betrace(&["replay", "--rules", &rules(), text(&one)], None);
    let detected_at = |line: &str| line.split("\"detected_at\"").next().unwrap().to_owned();
    let lines = |ended: Ended| ended.stdout.lines().map(detected_at).collect::<Vec<_>>();
    assert_eq!(lines(half()), lines(half()));
}

#[test]
fn replay_reads_stdin_draws_for_a_person_and_is_silent_where_nothing_fires() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = recording(folder.path());
    let joined = folder.path().join("both.pb");
    std::fs::write(
        &joined,
        [std::fs::read(one).unwrap(), std::fs::read(two).unwrap()].concat(),
    )
    .unwrap();
    let drawn = betrace(
        &["replay", "--format", "text", "--rules", &rules(), "-"],
        Some(&joined),
    );
    assert_eq!(drawn.code, 1, "{}", drawn.stderr);
    assert!(
        drawn.stdout.contains("> payment ") && drawn.stdout.contains("━"),
        "{}",
        drawn.stdout
    );
    assert!(!drawn.stdout.contains('\u{1b}'), "no colours in a pipe");

    let silent = betrace(
        &["replay", "--rules", &rules(), text(&quiet(folder.path()))],
        None,
    );
    assert_eq!(
        (silent.code, silent.stdout.as_str()),
        (0, ""),
        "{}",
        silent.stderr
    );
    assert!(silent.stderr.contains("1 trace of"), "{}", silent.stderr);
}

#[test]
fn replay_tells_why_a_rule_may_be_silent() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"payment.charge_card",
         "startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"amount","value":{"stringValue":"5000"}}]}]}]}]}"#;
    let input = folder.path().join("traces.json");
    std::fs::write(&input, json).unwrap();
    let rule = Path::new(&rules()).join("payment-fraud-check.betrace");
    let ended = betrace(&["replay", "--rules", text(&rule), text(&input)], None);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("payment-fraud-check: `amount` was text in 1 span"),
        "{}",
        ended.stderr
    );
}

#[test]
fn errors_name_what_and_where_and_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let (garbage, missing, empty) = (path("garbage.bin"), path("missing.json"), path("empty"));
    std::fs::write(&garbage, "hello").unwrap();
    std::fs::create_dir(&empty).unwrap();
    let rules = rules();
    for (arguments, said) in [
        (&["replay", "--rules", &rules, &garbage][..], "garbage.bin"),
        (&["replay", "--rules", &rules, &missing], "missing.json"),
        (&["replay", "--rules", &rules, &empty], "empty"),
        (&["replay", "--rules", &empty, &garbage], "empty"),
        (&["replay", "--rules", &missing, &garbage], "missing.json"),
        (&["check", &missing], "missing.json"),
        (&["compile", &missing, "-o", "x.wasm"], "missing.json"),
        (&["inspect", &garbage], "garbage.bin"),
        (&["serve", "--rules", &empty], "empty"),
        (&["serve"], "--rules"),
        (&["serve", "--rules", &rules, "--settle", "soon"], "settle"),
        (&["demo", "--for", "soon"], "soon"),
    ] {
        let ended = betrace(arguments, None);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("error: "),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(said),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_broken_rule_is_shown_with_its_source_and_the_others_run() {
    let folder = tempfile::tempdir().unwrap();
    let good = Path::new(&rules()).join("slow-query.betrace");
    std::fs::copy(good, folder.path().join("slow-query.betrace")).unwrap();
    let broken = folder.path().join("broken.betrace");
    std::fs::write(
        &broken,
        "rule broken {\n  detect { spans.where(duration > 500) }\n}\n",
    )
    .unwrap();

    let check = betrace(&["check", text(folder.path())], None);
    assert_eq!(check.code, 1, "{}", check.stderr);
    assert!(
        check.stdout.contains("slow-query  medium"),
        "{}",
        check.stdout
    );
    assert!(
        check.stderr.contains("broken.betrace") && check.stderr.contains("duration > 500"),
        "{}",
        check.stderr
    );
    assert!(
        check.stderr.contains("1 rule in 2 files, 1 problem"),
        "{}",
        check.stderr
    );

    let input = quiet(folder.path());
    let replay = betrace(
        &["replay", "--rules", text(folder.path()), text(&input)],
        None,
    );
    assert_eq!(replay.code, 2, "not all rules ran: {}", replay.stderr);
    assert!(
        replay.stderr.contains("1 rule: 0 signals"),
        "{}",
        replay.stderr
    );

    // The same id twice names both files.
    std::fs::write(&broken, "rule slow-query { detect { a.b } }").unwrap();
    let twice = betrace(&["check", text(folder.path())], None);
    assert_eq!(twice.code, 1);
    assert!(
        twice.stderr.contains("broken.betrace") && twice.stderr.contains("slow-query.betrace"),
        "{}",
        twice.stderr
    );
}

#[test]
fn a_rule_is_compiled_inspected_and_replayed_as_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(&rules()).join("n-plus-one-queries.betrace");
    let component = folder.path().join("rule.wasm");
    let compiled = betrace(&["compile", text(&source), "-o", text(&component)], None);
    assert_eq!(compiled.code, 0, "{}", compiled.stderr);
    let shown = betrace(&["inspect", text(&component)], None);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("n-plus-one-queries") && shown.stdout.contains("db.statement"),
        "{}",
        shown.stdout
    );
    let assembly = betrace(&["inspect", "--asm", text(&component)], None);
    assert!(
        assembly.stdout.len() > shown.stdout.len() + 1_000 && assembly.stdout.contains("evaluate")
    );

    let [one, two] = recording(folder.path());
    let ended = betrace(
        &[
            "replay",
            "--rules",
            text(&component),
            text(&one),
            text(&two),
        ],
        None,
    );
    assert_eq!(
        (ended.code, ended.stdout.lines().count()),
        (1, 1),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_of_several_rules_asks_which_or_fills_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("two.betrace");
    std::fs::write(
        &source,
        "rule first { detect { a.b } }\nrule second { detect { c.d } }\n",
    )
    .unwrap();
    let out = folder.path().join("compiled");
    let one_file = folder.path().join("one.wasm");
    let ambiguous = betrace(&["compile", text(&source), "-o", text(&one_file)], None);
    assert_eq!(ambiguous.code, 2);
    assert!(
        ambiguous.stderr.contains("2 rules") && ambiguous.stderr.contains("--rule ID"),
        "{}",
        ambiguous.stderr
    );
    assert_eq!(
        betrace(
            &[
                "compile",
                text(&source),
                "--rule",
                "second",
                "-o",
                text(&one_file)
            ],
            None
        )
        .code,
        0
    );
    let unknown = betrace(
        &[
            "compile",
            text(&source),
            "--rule",
            "third",
            "-o",
            text(&one_file),
        ],
        None,
    );
    assert!(
        unknown.stderr.contains("`first`, `second`"),
        "{}",
        unknown.stderr
    );
    assert_eq!(
        betrace(
            &["compile", text(&source), "-o", &format!("{}/", text(&out))],
            None
        )
        .code,
        0
    );
    assert!(out.join("first.wasm").exists() && out.join("second.wasm").exists());

    std::fs::write(&source, "rule first { detect { ").unwrap();
    let broken = betrace(&["compile", text(&source), "-o", text(&one_file)], None);
    assert_eq!(broken.code, 1, "{}", broken.stderr);
    assert!(broken.stderr.contains("two.betrace"), "{}", broken.stderr);
}

#[test]
fn every_command_has_help_with_examples() {
    for command in ["serve", "demo", "check", "compile", "inspect", "replay"] {
        let help = betrace(&[command, "--help"], None);
        assert_eq!(help.code, 0);
        assert!(help.stdout.contains("Examples:\n  "), "{command}");
        assert!(
            help.stdout.contains(&format!("betrace {command} ")),
            "{command}"
        );
    }
    assert!(betrace(&["--help"], None).stdout.contains("Examples:"));
}

#[test]
fn the_demo_draws_signals_and_ends_by_itself() {
    let demo = betrace(&["demo", "--for", "2s", "--settle", "300ms"], None);
    assert_eq!(demo.code, 0, "{}", demo.stderr);
    assert!(
        demo.stdout.contains("payment-fraud-check"),
        "{}\n{}",
        demo.stdout,
        demo.stderr
    );
    assert!(demo.stderr.contains("broken on purpose"), "{}", demo.stderr);
}

#[test]
fn a_closed_pipe_ends_a_replay_quietly_as_something_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = recording(folder.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_betrace"))
        .args([
            "replay",
            "--format",
            "json",
            "--rules",
            &rules(),
            text(&one),
            text(&two),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(1), ""));
}

#[test]
fn a_rule_that_did_not_judge_all_traces_is_an_error_after_all_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = recording(folder.path());
    let describe = Describe {
        id: "falls-over",
        ..Describe::default()
    };
    let traps = folder.path().join("traps.wasm");
    std::fs::write(&traps, component("trap_many", &describe)).unwrap();
    let ended = betrace(
        &[
            "replay",
            "--rules",
            &rules(),
            "--rules",
            text(&traps),
            text(&one),
            text(&two),
        ],
        None,
    );
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), FAULTS.len());
    assert!(
        ended.stderr.contains("warning: falls-over faulted")
            && ended.stderr.contains("not all rules judged all traces"),
        "{}",
        ended.stderr
    );
}

/// A trace of one span, as a line of JSON, that breaks the rule of [`rule_a_b`].
fn line_a_b(trace: u32) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{trace:032x}","spanId":"0102030405060708","name":"a.b","startTimeUnixNano":"1","endTimeUnixNano":"2"}}]}}]}}]}}"#
    )
}

fn rule_a_b(folder: &Path) -> PathBuf {
    let path = folder.join("a-b.betrace");
    std::fs::write(&path, "rule a-b { detect { a.b } }\n").unwrap();
    path
}

#[test]
fn what_came_before_an_input_broke_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let rule = rule_a_b(folder.path());
    let input = folder.path().join("cut.jsonl");
    std::fs::write(&input, format!("{}\n{}", line_a_b(1), &line_a_b(2)[..90])).unwrap();
    let ended = betrace(&["replay", "--rules", text(&rule), text(&input)], None);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("1 trace of") && ended.stderr.contains("cut.jsonl, line 2"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_trace_that_replay_judges_early_names_the_flag_to_raise() {
    let folder = tempfile::tempdir().unwrap();
    let rule = rule_a_b(folder.path());
    let input = folder.path().join("many.jsonl");
    let lines: Vec<String> = (1..50).map(line_a_b).collect();
    std::fs::write(&input, lines.join("\n")).unwrap();
    for (flag, value) in [
        ("--memory", "2KiB"),
        ("--span-cap", "1"),
        ("--byte-cap", "1B"),
    ] {
        let ended = betrace(
            &["replay", "--rules", text(&rule), flag, value, text(&input)],
            None,
        );
        assert_eq!(ended.code, 1, "{flag}: {}", ended.stderr);
        assert_eq!(ended.stdout.lines().count(), 49);
        assert!(
            ended.stderr.contains(&format!("raise `{flag}`")),
            "{flag}: {}",
            ended.stderr
        );
    }
    for (flags, said) in [
        (&["--memory", "1TiB"][..], "128GiB"),
        (&["--memory", "1MiB", "--byte-cap", "2MiB"], "--memory"),
    ] {
        let arguments = [&["replay", "--rules", text(&rule)], flags, &[text(&input)]];
        let ended = betrace(&arguments.concat(), None);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn compile_never_harms_a_source_and_writes_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let rule = rule_a_b(folder.path());
    let source = std::fs::read(&rule).unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let component = path("a-b.wasm");
    let long = path("long.betrace");
    std::fs::write(&long, " ".repeat((4 << 20) + 1)).unwrap();
    assert_eq!(
        betrace(&["compile", text(&rule), "-o", &component], None).code,
        0
    );
    let good = std::fs::read(&component).unwrap();
    let no_folder = path("absent/a-b.wasm");
    for (file, output, said) in [
        (text(&rule), text(&rule), "a-b.betrace is a rule's source"),
        (text(&rule), &path("other.betrace"), "a rule's source"),
        (text(&rule), &no_folder, "absent"),
        (&component, &path("b.wasm"), "already compiled"),
        (&long, &path("b.wasm"), "longer than 4194304 bytes"),
    ] {
        let ended = betrace(&["compile", file, "-o", output], None);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    assert_eq!(std::fs::read(&rule).unwrap(), source);
    assert!(!folder.path().join("absent").exists());

    // Over what is there, and nothing is left beside it.
    std::fs::write(&component, "old").unwrap();
    assert_eq!(
        betrace(&["compile", text(&rule), "-o", &component], None).code,
        0
    );
    assert_eq!(std::fs::read(&component).unwrap(), good);
    let mut left: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["a-b.betrace", "a-b.wasm", "long.betrace"]);
}

#[test]
fn check_counts_each_problem_and_shows_clauses_without_their_comments() {
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("several.betrace");
    std::fs::write(
        &rule,
        "rule several {\n  detect {\n    c.d // not run on\n    and e.f\n  }\n}\n",
    )
    .unwrap();
    let good = betrace(&["check", text(&rule)], None);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert!(
        good.stdout.contains("    detect { c.d and e.f }\n"),
        "{}",
        good.stdout
    );
    assert_eq!(good.stdout.matches("sees traces with").count(), 1);
    assert!(
        good.stdout.contains("\n      and a span"),
        "{}",
        good.stdout
    );

    std::fs::write(
        &rule,
        "rule one { detect { spans.where(duration > 500) } }\nrule two { detect { spans.where(duration > 500) } }\n",
    )
    .unwrap();
    let bad = betrace(&["check", text(&rule)], None);
    assert_eq!(bad.code, 1);
    assert!(
        bad.stderr.contains("0 rules in 1 file, 2 problems"),
        "{}",
        bad.stderr
    );
}
