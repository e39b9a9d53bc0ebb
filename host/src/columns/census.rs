//! How often a column's values were of a type that its rule does not compare with: the usual reason why a rule is silent.

use std::ops::Range;

use super::batch::{Column, tag};

/// Types that a rule compares a column's values with; `wit/rule.wit` has them as flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types {
    pub boolean: bool,
    pub integer: bool,
    pub float: bool,
    pub text: bool,
}

/// How many rows have each tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// By tag, 0 (missing) to 7 (bytes).
    pub rows: [u64; 8],
}

impl Column {
    /// Counts the tags of `rows`, or of those that there are; nothing where the column is no attribute.
    pub fn census(&self, rows: Range<u32>) -> Census {
        let mut census = Census::default();
        if let Column::Attribute { tags, .. } = self {
            let end = (rows.end as usize).min(tags.len());
            let start = (rows.start as usize).min(end);
            for &tag in tags.get(start..end).unwrap_or_default() {
                if let Some(count) = census.rows.get_mut(usize::from(tag)) {
                    *count += 1;
                }
            }
        }
        census
    }
}

impl Census {
    /// Adds the counts of another batch.
    pub fn add(&mut self, other: &Census) {
        for (count, more) in self.rows.iter_mut().zip(other.rows) {
            *count += more;
        }
    }

    /// Rows whose value is there and unlike all of `types`, by tag and in its order. Nothing is unlike where a rule
    /// compares with no type at all (`exists(x)`).
    pub fn unlike(&self, types: Types) -> impl Iterator<Item = (u8, u64)> {
        let compared = types != Types::default();
        (0..)
            .zip(self.rows)
            .filter(move |&(tag, rows)| compared && rows > 0 && !types.like(tag))
    }
}

impl Types {
    /// Whether a value with this tag can be compared; a missing one is not of another type.
    fn like(self, tag: u8) -> bool {
        match tag {
            tag::MISSING => true,
            tag::BOOL => self.boolean,
            // Numbers compare with each other.
            tag::INT | tag::FLOAT => self.integer || self.float,
            tag::TEXT => self.text,
            _ => false,
        }
    }
}

/// What a tag is called in messages.
pub fn tag_name(tag: u8) -> &'static str {
    match tag {
        tag::BOOL => "bool",
        tag::INT => "int",
        tag::FLOAT => "float",
        tag::TEXT => "text",
        tag::ARRAY => "array",
        tag::MAP => "map",
        tag::BYTES => "bytes",
        _ => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlike_types_are_counted_and_missing_is_not_one() {
        let tags = vec![
            tag::INT,
            tag::TEXT,
            tag::MISSING,
            tag::FLOAT,
            tag::TEXT,
            tag::ARRAY,
            tag::BOOL,
        ];
        let column = Column::Attribute {
            values: vec![0; tags.len()],
            tags,
        };
        let numbers = Types {
            integer: true,
            ..Types::default()
        };
        let unlike = |rows| {
            column
                .census(rows)
                .unlike(numbers)
                .map(|(tag, rows)| (tag_name(tag), rows))
                .collect()
        };
        let all: Vec<_> = unlike(0..u32::MAX);
        assert_eq!(all, [("bool", 1), ("text", 2), ("array", 1)]);
        let some: Vec<_> = unlike(3..5);
        assert_eq!(some, [("text", 1)]);
        let none: Vec<_> = unlike(90..u32::MAX);
        assert_eq!(none, []);
        assert_eq!(column.census(0..7).unlike(Types::default()).count(), 0);
    }

    #[test]
    fn batches_add_up() {
        let mut sum = Census::default();
        let column = Column::Attribute {
            tags: vec![tag::TEXT],
            values: vec![0],
        };
        sum.add(&column.census(0..1));
        sum.add(&column.census(0..1));
        sum.add(&Column::W8(vec![4]).census(0..1));
        assert_eq!(sum.rows, [0, 0, 0, 0, 2, 0, 0, 0]);
    }
}
