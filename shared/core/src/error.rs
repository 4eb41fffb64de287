//! Errors in log lines.

use std::{error::Error, fmt};

/// Writes an error with its causes: `a: b: c`. The texts of this project's errors do not repeat their causes.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not store the grant")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn an_error_is_written_with_its_causes() {
        let inner = std::fmt::Error;
        assert_eq!(Chain(&Outer(inner)).to_string(), format!("could not store the grant: {inner}"));
    }
}
