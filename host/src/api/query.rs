//! What stands behind the `?` of a request: parameters that the path takes, each once. What is wrong with them is said in
//! words of the API.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::error::Error;
use crate::config::nearest;

/// Columns of a parameter's name or value in an error.
const WIDTH: usize = 80;

/// The parameters as they were sent.
pub(super) type Sent = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Parameters of a request.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those that were sent, of those that a path takes.
    pub(super) fn read(sent: Sent, takes: &[&str]) -> Result<Parameters, Error> {
        let Query(sent) = sent.map_err(|_| {
            Error::bad_request("what stands behind `?` can't be read")
                .help("write `name=value`, with `&` between two")
        })?;
        for (index, (name, _)) in sent.iter().enumerate() {
            if !takes.contains(&name.as_str()) {
                return Err(unknown(name, takes));
            }
            if sent.iter().take(index).any(|(known, _)| known == name) {
                return Err(Error::bad_request(format!("`{name}` is given twice"))
                    .help("give it once, or ask twice"));
            }
        }
        Ok(Parameters(sent))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let sent = self.0.iter().find(|(known, _)| known == name);
        sent.map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A number in a range.
    pub(super) fn number(
        &self,
        name: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let number = text.parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            Error::bad_request(format!("`{name}` can't be `{}`", cut(text)))
                .help(format!("write a whole number from {least} to {most}"))
        })
    }
}

fn unknown(name: &str, takes: &[&str]) -> Error {
    let help = match nearest(name, takes.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it takes {}", takes.join(", ")),
    };
    Error::bad_request(format!("there is no parameter `{}` here", cut(name))).help(help)
}

fn cut(text: &str) -> String {
    crate::sinks::text::clean(text, WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Parameters, Error> {
        let sent = query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Parameters::read(Ok(Query(sent.collect())), &["rule", "limit"])
    }

    #[test]
    fn parameters_are_those_of_the_path_each_once() {
        let read_well = read(&[("limit", "7"), ("rule", "a")]).expect("they are right");
        assert_eq!(read_well.get("rule"), Some("a"));
        assert_eq!(read_well.number("limit", 1, 10), Ok(Some(7)));
        assert_eq!(read(&[]).and_then(|p| p.number("limit", 1, 10)), Ok(None));
        let refused = |query: &[(&str, &str)]| read(query).expect_err("it is refused");
        assert_eq!(
            refused(&[("lmit", "7")]),
            Error::bad_request("there is no parameter `lmit` here").help("did you mean `limit`?")
        );
        assert_eq!(
            refused(&[("colour", "7")]),
            Error::bad_request("there is no parameter `colour` here").help("it takes rule, limit")
        );
        assert_eq!(
            refused(&[("rule", "a"), ("rule", "b")]),
            Error::bad_request("`rule` is given twice").help("give it once, or ask twice")
        );
        for wrong in ["0", "11", "", "-1", "many", "99999999999999999999999"] {
            let number = read(&[("limit", wrong)]).and_then(|p| p.number("limit", 1, 10));
            assert_eq!(
                number,
                Err(Error::bad_request(format!("`limit` can't be `{wrong}`"))
                    .help("write a whole number from 1 to 10"))
            );
        }
    }
}
