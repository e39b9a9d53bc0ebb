//! All requests of a load as templates, in groups: a group's traces have all their spans in it, and every group is new.
//!
//! ```text
//!            part 0      part 1      ...       a part is what a service sends of a group, in one request or more; a
//! variant 0  [template]  [template]            recording is one variant of one part
//! variant 1  [template]  [template]
//! tail       [template]  [template]            of the last group, where fewer traces are left
//! ```

use std::ops::Range;

use super::recorded::Recorded;
use super::shape::Shape;
use super::template::Template;
use super::traffic::{Maker, VARIANTS};

/// Bytes of all templates. They stay in memory, and as much again for the requests on their way.
pub const TEMPLATE_BYTES: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum DeckError {
    #[error(
        "requests of this shape take {} MiB to prepare, and {} MiB is the most",
        bytes >> 20,
        TEMPLATE_BYTES >> 20
    )]
    TooLarge { bytes: u64 },
    #[error("what was made is no OTLP: {0}")]
    Malformed(#[from] crate::otlp::scan::Malformed),
}

/// See the module's doc.
#[derive(Debug)]
pub struct Deck {
    templates: Vec<Template>,
    variants: Vec<Vec<Range<usize>>>,
    /// The last group, and its parts.
    tail: Option<(u64, Vec<Range<usize>>)>,
    /// By part, how many groups it is behind the first.
    lags: Vec<u64>,
    /// Where a load ends.
    groups: Option<u64>,
    traces_a_group: u64,
}

impl Deck {
    /// Made requests, of so many traces or without end; `start` is when traces start, in Unix nanoseconds.
    pub fn made(shape: &Shape, traces: Option<u64>, start: u64) -> Result<Deck, DeckError> {
        let maker = Maker::new(shape.clone(), start);
        let a_group = shape.traces_a_group();
        let spans = a_group.saturating_mul(shape.spans);
        let bytes = maker.span_bytes().saturating_mul(spans) * (VARIANTS + 1);
        if bytes > TEMPLATE_BYTES {
            return Err(DeckError::TooLarge { bytes });
        }
        let open = shape.open.div_ceil(a_group);
        let apart = (shape.services - 1).max(1);
        let mut deck = Deck {
            templates: Vec::new(),
            variants: Vec::new(),
            tail: None,
            // The root's service is neither the first nor the last to send.
            lags: (0..shape.services)
                .map(|service| (service + shape.services.div_ceil(2)) % shape.services)
                .map(|phase| open * phase / apart)
                .collect(),
            groups: traces.map(|traces| traces.div_ceil(a_group)),
            traces_a_group: a_group,
        };
        for variant in 0..VARIANTS {
            let parts = deck.add(&maker, shape, variant, a_group)?;
            deck.variants.push(parts);
        }
        let left = traces.unwrap_or_default() % a_group;
        if left > 0 {
            let last = traces.unwrap_or_default() / a_group;
            let parts = deck.add(&maker, shape, last % VARIANTS, left)?;
            deck.tail = Some((last, parts));
        }
        Ok(deck)
    }

    /// A recording, repeated as often as it takes to send so many traces or spans, or without end.
    pub fn recorded(recorded: Recorded, traces: Option<u64>, spans: Option<u64>) -> Deck {
        let rounds = |wanted: Option<u64>, a_round: u64| wanted.map(|n| n.div_ceil(a_round.max(1)));
        let groups = [
            rounds(traces, recorded.traces),
            rounds(spans, recorded.spans),
        ];
        let all = 0..recorded.templates.len();
        Deck {
            templates: recorded.templates,
            variants: vec![vec![all]],
            tail: None,
            lags: vec![0],
            groups: groups.into_iter().flatten().min(),
            traces_a_group: recorded.traces,
        }
    }

    fn add(
        &mut self,
        maker: &Maker,
        shape: &Shape,
        variant: u64,
        traces: u64,
    ) -> Result<Vec<Range<usize>>, DeckError> {
        let mut parts = Vec::new();
        for service in 0..shape.services {
            let first = self.templates.len();
            for bytes in maker.requests(variant, service, traces) {
                self.templates.push(Template::new(&bytes)?);
            }
            parts.push(first..self.templates.len());
        }
        Ok(parts)
    }

    pub fn template(&self, at: usize) -> Option<&Template> {
        self.templates.get(at)
    }

    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The templates of a part of a group.
    pub fn part(&self, group: u64, part: usize) -> Range<usize> {
        let parts = match &self.tail {
            Some((last, parts)) if *last == group => Some(parts),
            _ => {
                let variants = self.variants.len().max(1) as u64;
                self.variants.get((group % variants) as usize)
            }
        };
        parts
            .and_then(|parts| parts.get(part))
            .cloned()
            .unwrap_or_default()
    }

    pub fn lags(&self) -> &[u64] {
        &self.lags
    }

    /// The groups that a load has, where it has an end.
    pub fn groups(&self) -> Option<u64> {
        self.groups
    }

    /// Traces of the first `groups`.
    pub fn traces(&self, groups: u64) -> u64 {
        let all = groups.saturating_mul(self.traces_a_group);
        match &self.tail {
            Some((last, parts)) if groups > *last => {
                let template = parts
                    .first()
                    .and_then(|part| self.templates.get(part.clone()));
                let ids = template.into_iter().flatten().flat_map(Template::trace_ids);
                let tail = ids.collect::<std::collections::HashSet<_>>().len() as u64;
                last * self.traces_a_group + tail
            }
            _ => all,
        }
    }
}
