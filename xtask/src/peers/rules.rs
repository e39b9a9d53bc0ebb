//! The same hundred rules in both languages: a span name and two attribute comparisons each.

/// From a trace's first span to the Collector's decision, and from its last to BeTrace's: longer than it takes to send all, so
/// that all traces are open at once.
pub(crate) const DECISION_WAIT_S: u64 = 20;

const RULES: u64 = 100;

/// A rule, true of a span with this name that answers 500 or more and has a larger amount than this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    name: u64,
    amount: u64,
}

/// The rules, over so many names. The traffic has 20, ten of them in a trace.
pub(crate) fn conditions(names: u64) -> Vec<Condition> {
    (0..RULES)
        .map(|rule| Condition {
            name: rule % names.max(1),
            amount: 1_000 + rule,
        })
        .collect()
}

/// As a file of BeTrace's rules.
pub(crate) fn dsl(conditions: &[Condition]) -> String {
    let rules = conditions.iter().zip(0..).map(|(condition, rule): (_, u32)| {
        let Condition { name, amount } = condition;
        format!(
            "rule rule-{rule} {{ detect {{ shop.step_{name}.where(http.response.status_code >= 500 and amount > {amount}) }} }}\n"
        )
    });
    rules.collect()
}

/// As a Collector's configuration, with tail sampling where there are conditions.
pub(crate) fn collector(conditions: &[Condition], address: &str) -> String {
    let mut text = format!(
        "\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: {address}
exporters:
  nop:
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [nop]
"
    );
    if conditions.is_empty() {
        return text;
    }
    text += &format!(
        "      processors: [tail_sampling]
processors:
  tail_sampling:
    decision_wait: {DECISION_WAIT_S}s
    num_traces: 200000
    policies:
"
    );
    for (rule, condition) in conditions.iter().enumerate() {
        let Condition { name, amount } = condition;
        text += &format!(
            "      - name: rule-{rule}
        type: ottl_condition
        ottl_condition:
          error_mode: ignore
          span:
            - 'span.name == \"shop.step_{name}\" and span.attributes[\"http.response.status_code\"] >= 500 and span.attributes[\"amount\"] > {amount}'
"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_both_say_the_same() {
        for names in [20, 100] {
            let conditions = conditions(names);
            let output = betrace_dsl::compile("shop", dsl(&conditions).as_bytes());
            assert_eq!(output.rules.len(), 100, "{:?}", output.diagnostics);
            let yaml = collector(&conditions, "127.0.0.1:1");
            assert_eq!(yaml.matches("type: ottl_condition").count(), 100);
            for (rule, condition) in conditions.iter().enumerate() {
                assert!(yaml.contains(&format!("name: rule-{rule}\n")));
                let name = format!("span.name == \"shop.step_{}\"", condition.name);
                let amount = format!("span.attributes[\"amount\"] > {}'", condition.amount);
                assert!(
                    yaml.lines()
                        .any(|l| l.contains(&name) && l.contains(&amount))
                );
            }
        }
    }

    #[test]
    fn the_collector_takes_its_configuration() {
        let Some(otelcol) = std::env::var_os("BETRACE_TEST_COLLECTOR") else {
            eprintln!("left out: `cargo xtask test` builds the Collector");
            return;
        };
        let file = std::env::temp_dir().join(format!("peers-{}.yaml", std::process::id()));
        for count in [0, 1, 100] {
            let mut conditions = conditions(20);
            conditions.truncate(count);
            std::fs::write(&file, collector(&conditions, "127.0.0.1:1")).unwrap();
            let output = std::process::Command::new(&otelcol)
                .args(["validate", "--config"])
                .arg(&file)
                .output()
                .unwrap();
            std::fs::remove_file(&file).unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{count}: {said}");
        }
    }
}
