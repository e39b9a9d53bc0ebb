//! Comparisons of a number with a literal, reduced to one comparison in the number's own type.
//!
//! Exact: a literal that the other type can't hold becomes its nearest neighbour and a comparison that means the same.

use crate::types::tree::Comparison;

/// How an i64 compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntTest {
    /// Whatever it is.
    Always(bool),
    /// With this.
    Compare(Comparison, i64),
}

/// How an f64 compares. A NaN is unequal to everything, and neither less nor greater.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloatTest {
    /// Whatever it is.
    Always(bool),
    /// With this.
    Compare(Comparison, f64),
}

/// How a count, which is a u32, compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountTest {
    /// Whatever it is.
    Always(bool),
    /// With this.
    Compare(Comparison, u32),
}

/// 2^63, the least float above every i64.
const ABOVE_INT: f64 = 9_223_372_036_854_775_808.0;

impl IntTest {
    /// An int compared with a float.
    pub fn with_float(comparison: Comparison, float: f64) -> IntTest {
        use Comparison::*;
        if float.is_nan() {
            return IntTest::Always(comparison == NotEqual);
        }
        if float >= ABOVE_INT {
            return IntTest::Always(matches!(comparison, NotEqual | Less | LessOrEqual));
        }
        if float < -ABOVE_INT {
            return IntTest::Always(matches!(comparison, NotEqual | Greater | GreaterOrEqual));
        }
        // In range, so the casts are exact.
        let (floor, ceiling) = (float.floor() as i64, float.ceil() as i64);
        if floor == ceiling {
            return IntTest::Compare(comparison, floor);
        }
        match comparison {
            Equal => IntTest::Always(false),
            NotEqual => IntTest::Always(true),
            Less | LessOrEqual => IntTest::Compare(LessOrEqual, floor),
            Greater | GreaterOrEqual => IntTest::Compare(GreaterOrEqual, ceiling),
        }
    }

    /// Whether this int passes.
    pub fn holds(self, int: i64) -> bool {
        match self {
            IntTest::Always(answer) => answer,
            IntTest::Compare(comparison, with) => comparison.holds(int.cmp(&with)),
        }
    }
}

impl FloatTest {
    /// A float compared with an int.
    pub fn with_int(comparison: Comparison, int: i64) -> FloatTest {
        use Comparison::*;
        let nearest = int as f64;
        let (below, above) = match (nearest as i128).cmp(&i128::from(int)) {
            std::cmp::Ordering::Equal => return FloatTest::Compare(comparison, nearest),
            std::cmp::Ordering::Less => (nearest, nearest.next_up()),
            std::cmp::Ordering::Greater => (nearest.next_down(), nearest),
        };
        match comparison {
            Equal => FloatTest::Always(false),
            NotEqual => FloatTest::Always(true),
            Less | LessOrEqual => FloatTest::Compare(LessOrEqual, below),
            Greater | GreaterOrEqual => FloatTest::Compare(GreaterOrEqual, above),
        }
    }
}

impl From<IntTest> for CountTest {
    fn from(test: IntTest) -> CountTest {
        use Comparison::*;
        match test {
            IntTest::Always(answer) => CountTest::Always(answer),
            IntTest::Compare(comparison, int) => match u32::try_from(int) {
                Ok(count) => CountTest::Compare(comparison, count),
                Err(_) if int < 0 => {
                    CountTest::Always(matches!(comparison, NotEqual | Greater | GreaterOrEqual))
                }
                Err(_) => CountTest::Always(matches!(comparison, NotEqual | Less | LessOrEqual)),
            },
        }
    }
}

impl CountTest {
    /// No more than this needs to be counted for the answer to be known; at least 1.
    pub fn limit(self) -> u32 {
        match self {
            CountTest::Always(_) => 1,
            CountTest::Compare(Comparison::Less | Comparison::GreaterOrEqual, count) => {
                count.max(1)
            }
            CountTest::Compare(_, count) => count.saturating_add(1),
        }
    }
}

impl Comparison {
    /// Whether two values in this order compare so.
    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// `b op a` for `a op b`.
    pub fn flipped(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    /// `==` or `!=`.
    pub fn is_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_53: i64 = 1 << 53;

    #[test]
    fn an_int_that_no_float_holds_is_not_rounded() {
        use Comparison::*;
        assert_eq!(
            FloatTest::with_int(Equal, TWO_53 + 1),
            FloatTest::Always(false)
        );
        assert_eq!(
            FloatTest::with_int(Less, TWO_53 + 1),
            FloatTest::Compare(LessOrEqual, TWO_53 as f64)
        );
        assert_eq!(
            FloatTest::with_int(Greater, i64::MAX),
            FloatTest::Compare(GreaterOrEqual, ABOVE_INT)
        );
        assert_eq!(
            FloatTest::with_int(GreaterOrEqual, i64::MIN),
            FloatTest::Compare(GreaterOrEqual, -ABOVE_INT)
        );
    }

    #[test]
    fn a_float_between_ints_moves_to_its_neighbour() {
        use Comparison::*;
        assert_eq!(
            IntTest::with_float(Less, 2.5),
            IntTest::Compare(LessOrEqual, 2)
        );
        assert_eq!(
            IntTest::with_float(Greater, -2.5),
            IntTest::Compare(GreaterOrEqual, -2)
        );
        assert_eq!(
            IntTest::with_float(Less, f64::INFINITY),
            IntTest::Always(true)
        );
        assert_eq!(
            IntTest::with_float(GreaterOrEqual, -ABOVE_INT),
            IntTest::Compare(GreaterOrEqual, i64::MIN)
        );
        assert_eq!(
            IntTest::with_float(NotEqual, f64::NAN),
            IntTest::Always(true)
        );
    }

    #[test]
    fn a_count_is_never_negative() {
        use Comparison::*;
        assert_eq!(
            CountTest::from(IntTest::Compare(Greater, -1)),
            CountTest::Always(true)
        );
        assert_eq!(
            CountTest::from(IntTest::Compare(Less, 1 << 40)),
            CountTest::Always(true)
        );
        assert_eq!(CountTest::Compare(Greater, 10).limit(), 11);
        assert_eq!(CountTest::Compare(GreaterOrEqual, 3).limit(), 3);
    }
}
