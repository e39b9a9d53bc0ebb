//! Prometheus' text format, version 0.0.4: families of samples, each with its help and type.

use std::fmt::Write;

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the host runs.
    Counter,
    Gauge,
    /// Quantiles, with the sum and the count of all that there ever was. Its last label is `quantile`.
    Summary,
}

/// A family of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
        }
    }
}

/// Text in the format.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub(super) fn family<'a>(&'a mut self, family: &'static Family) -> Samples<'a> {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "# HELP {} {}", family.name, family.help);
        let _ = writeln!(self.text, "# TYPE {} {}", family.name, family.kind.name());
        Samples {
            text: &mut self.text,
            family,
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Where the samples of a family go.
pub(super) struct Samples<'a> {
    text: &'a mut String,
    family: &'static Family,
}

impl Samples<'_> {
    /// A sample, with the values of the family's labels in their order.
    pub(super) fn sample(&mut self, labels: &[&str], value: f64) {
        self.suffixed("", labels, value);
    }

    /// The sum and the count of a summary, with the values of its labels but for the quantile.
    pub(super) fn sum_and_count(&mut self, labels: &[&str], sum: f64, count: u64) {
        self.suffixed("_sum", labels, sum);
        self.suffixed("_count", labels, count as f64);
    }

    fn suffixed(&mut self, suffix: &str, labels: &[&str], value: f64) {
        self.text.push_str(self.family.name);
        self.text.push_str(suffix);
        let pairs = self.family.labels.iter().zip(labels);
        for (index, (name, value)) in pairs.enumerate() {
            self.text.push_str(if index == 0 { "{" } else { "," });
            let _ = write!(self.text, "{name}=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if !self.family.labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn count(&mut self, labels: &[&str], value: u64) {
        self.sample(labels, value as f64);
    }
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_its_quantiles_its_sum_and_its_count() {
        static FAMILY: Family = Family {
            name: "a_seconds",
            kind: Kind::Summary,
            labels: &["rule", "quantile"],
            help: "Times.",
        };
        let mut text = Exposition::default();
        let mut samples = text.family(&FAMILY);
        samples.sample(&["a", "0.5"], 0.25);
        samples.sum_and_count(&["a"], 1.5, 4);
        assert_eq!(
            text.finish(),
            "# HELP a_seconds Times.\n# TYPE a_seconds summary\na_seconds{rule=\"a\",quantile=\"0.5\"} 0.25\n\
             a_seconds_sum{rule=\"a\"} 1.5\na_seconds_count{rule=\"a\"} 4\n"
        );
    }

    #[test]
    fn samples_are_written_with_their_labels() {
        static FAMILY: Family = Family {
            name: "a_total",
            kind: Kind::Counter,
            labels: &["rule", "kind"],
            help: "Things.",
        };
        let mut text = Exposition::default();
        text.family(&FAMILY).count(&["a\"b\\c\nd", "x"], 3);
        assert_eq!(
            text.finish(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{rule=\"a\\\"b\\\\c\\nd\",kind=\"x\"} 3\n"
        );
    }
}
