//! Positional parameters, with geth's complaints about them.

use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::{self, RpcResult};

/// The parameters of a call. Trailing optional ones may be absent or null; surplus ones are
/// ignored.
pub(crate) struct Args<'a>(pub Params<'a>);

impl Args<'_> {
    pub fn sequence(&self) -> Sequence<'_> {
        let values = match self.0.as_str() {
            None => Some(Vec::new()),
            Some(_) => self.0.parse().ok(),
        };
        Sequence { values, next: 0 }
    }

    pub fn one<A: DeserializeOwned>(&self) -> RpcResult<A> {
        self.sequence().next()
    }

    pub fn two<A: DeserializeOwned, B: DeserializeOwned>(&self) -> RpcResult<(A, B)> {
        let mut params = self.sequence();
        Ok((params.next()?, params.next()?))
    }

    pub fn two_optional<A: DeserializeOwned, B: DeserializeOwned>(
        &self,
    ) -> RpcResult<(A, Option<B>)> {
        let mut params = self.sequence();
        Ok((params.next()?, params.optional_next()?))
    }

    /// The parameter at an index, if it is there and has this form.
    pub fn peek<A: DeserializeOwned>(&self, index: usize) -> Option<A> {
        let mut params = self.sequence();
        params.next = index;
        params.optional_next().ok().flatten()
    }
}

/// Parameters one after the other.
pub(crate) struct Sequence<'a> {
    /// `None` when the parameters are no array.
    values: Option<Vec<&'a RawValue>>,
    next: usize,
}

impl Sequence<'_> {
    pub fn next<A: DeserializeOwned>(&mut self) -> RpcResult<A> {
        let index = self.next;
        match self.optional_next()? {
            Some(value) => Ok(value),
            None => {
                let text = format!("missing value for required argument {index}");
                Err(error::invalid_params(text))
            }
        }
    }

    pub fn optional_next<A: DeserializeOwned>(&mut self) -> RpcResult<Option<A>> {
        let Some(values) = &self.values else {
            return Err(error::invalid_params("non-array args"));
        };
        let index = self.next;
        self.next += 1;
        let Some(value) = values.get(index) else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|error| {
            let text = error.to_string();
            // A place within the argument tells its sender nothing.
            let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
            error::invalid_params(format!("invalid argument {index}: {text}"))
        })
    }
}
