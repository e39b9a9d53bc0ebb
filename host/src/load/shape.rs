//! What the traces of a load look like, as written on the command line: `spans=10,services=5`.

use std::str::FromStr;

/// Traces and their requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Spans a trace.
    pub spans: u64,
    /// Services that a trace passes through, each of which sends its own requests.
    pub services: u64,
    /// Attributes a span.
    pub attributes: u64,
    /// Bytes a span on the wire, at least; 0 leaves it to the attributes.
    pub bytes: u64,
    /// Spans a request, at most.
    pub request: u64,
    /// Traces that wait for spans at any time.
    pub open: u64,
}

/// What a key of a shape is called, what it may be, and what it means.
struct Key {
    name: &'static str,
    least: u64,
    /// More is a slip of the hand: templates of it would fill the memory.
    most: u64,
    place: fn(&mut Shape) -> &mut u64,
}

const KEYS: [Key; 6] = [
    Key {
        name: "spans",
        least: 1,
        most: 100_000,
        place: |shape| &mut shape.spans,
    },
    Key {
        name: "services",
        least: 1,
        most: 1_000,
        place: |shape| &mut shape.services,
    },
    Key {
        name: "attributes",
        least: 0,
        most: 10_000,
        place: |shape| &mut shape.attributes,
    },
    Key {
        name: "bytes",
        least: 0,
        most: 1 << 20,
        place: |shape| &mut shape.bytes,
    },
    Key {
        name: "request",
        least: 1,
        most: 100_000,
        place: |shape| &mut shape.request,
    },
    Key {
        name: "open",
        least: 0,
        most: 100_000_000,
        place: |shape| &mut shape.open,
    },
];

impl Default for Shape {
    /// Of SDKs in a shop: what the benches measure.
    fn default() -> Self {
        Shape {
            spans: 10,
            services: 5,
            attributes: 10,
            bytes: 0,
            request: 1_000,
            open: 0,
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Shape, String> {
        let mut shape = Shape::default();
        let mut services_said = false;
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not KEY=NUMBER, such as `spans=10`"))?;
            let key = KEYS.iter().find(|key| key.name == name.trim());
            let key = key.ok_or_else(|| {
                let names = KEYS.map(|key| key.name).join(", ");
                format!("`{name}` is not part of a shape: there are {names}")
            })?;
            let value = number(value)?;
            if !(key.least..=key.most).contains(&value) {
                return Err(format!(
                    "`{}` can be {} to {}",
                    key.name, key.least, key.most
                ));
            }
            *(key.place)(&mut shape) = value;
            services_said |= key.name == "services";
        }
        if !services_said {
            shape.services = shape.services.min(shape.spans);
        }
        if shape.services > shape.spans {
            return Err(format!(
                "a trace of {} can't pass through {} services: each has at least one span",
                crate::sinks::text::counted(shape.spans, "span"),
                shape.services
            ));
        }
        if shape.bytes > 0 && shape.attributes == 0 {
            return Err("`bytes` needs an attribute to fill: set `attributes` to 1 or more".into());
        }
        Ok(shape)
    }
}

impl Shape {
    /// Spans of a trace that the service at this position has.
    pub fn spans_of(&self, service: u64) -> u64 {
        (self.spans + self.services - 1).saturating_sub(service) / self.services.max(1)
    }

    /// Traces of which a service's request holds all its spans: a group.
    pub fn traces_a_group(&self) -> u64 {
        (self.request / self.spans_of(0).max(1)).max(1)
    }
}

/// A whole number: `250000`, `250_000`, `250k` or `1M`.
pub fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let digits = digits.replace(['_', ','], "");
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits {
        return Err(format!(
            "`{text}` is not a whole number: write it like `250000`, `250k` or `1M`"
        ));
    }
    let number = digits.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_in_the_benches() {
        let shape: Shape = "spans=1_000, request=5k".parse().unwrap();
        assert_eq!(
            shape,
            Shape {
                spans: 1_000,
                request: 5_000,
                ..Shape::default()
            }
        );
        assert_eq!("".parse(), Ok(Shape::default()));
        assert_eq!("spans=2".parse::<Shape>().unwrap().services, 2);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, said) in [
            ("spans", "`spans` is not KEY=NUMBER"),
            ("span=3", "there are spans, services"),
            ("spans=0", "`spans` can be 1 to 100000"),
            ("spans=many", "is not a whole number"),
            ("spans=99999999999999999999M", "is too large"),
            ("spans=3,services=4", "a trace of 3 spans can't pass"),
            ("attributes=0,bytes=900", "`bytes` needs an attribute"),
        ] {
            let error = text.parse::<Shape>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn spans_are_dealt_to_services_in_turn() {
        for (spans, services) in [(10, 5), (7, 3), (1, 1), (3, 3), (10_000, 7)] {
            let shape = Shape {
                spans,
                services,
                ..Shape::default()
            };
            let sum: u64 = (0..services).map(|service| shape.spans_of(service)).sum();
            assert_eq!(sum, spans);
        }
        assert_eq!(Shape::default().traces_a_group(), 500);
    }
}
