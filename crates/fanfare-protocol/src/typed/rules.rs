//! Validation rules of types, checked on values that arrive.

use crate::socket::ArgsError;

/// Returns the first broken rule of a value as an error.
///
/// `argument` is the index of the value among the arguments. If `is_tuple`, the value is a tuple struct, each of whose fields
/// is an argument.
#[cfg(feature = "validation")]
fn first_broken_rule<T: garde::Validate<Context: Default>>(
    value: &T,
    argument: usize,
    is_tuple: bool,
) -> Result<(), ArgsError> {
    let Err(report) = value.validate() else {
        return Ok(());
    };
    let Some((path, error)) = report.iter().next() else {
        return Ok(());
    };
    let path = path.to_string();
    let field = path
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|_| is_tuple)
        .and_then(|(index, rest)| Some((index.parse().ok()?, rest)));
    let (argument, path) = field.unwrap_or((argument, &path));
    let path = path.strip_prefix('.').unwrap_or(path);
    Err(ArgsError::rule(argument, path, error.message()))
}

/// Checks the rules of an event; the derive of [`TypedEvent`](super::TypedEvent) calls it for types with attributes of `garde`.
#[cfg(feature = "validation")]
#[doc(hidden)]
pub fn check_rules<T: garde::Validate<Context: Default>>(
    event: &T,
    is_tuple: bool,
) -> Result<(), ArgsError> {
    first_broken_rule(event, 0, is_tuple)
}

/// Value of a type that may have rules; the derive uses it where no attribute tells.
///
/// `(&probe).check()` is the method of [`ProbeRules`] if the type implements `Validate`, and otherwise that of
/// [`ProbeNothing`], which takes one more reference ("autoref specialization").
#[doc(hidden)]
#[derive(Debug)]
pub struct RuleProbe<'a, T> {
    pub value: &'a T,
    /// Index of the value among the arguments.
    pub argument: usize,
    /// Whether the value is a tuple struct whose fields are the arguments.
    pub is_tuple: bool,
}

#[doc(hidden)]
pub trait ProbeRules {
    fn check(&self) -> Result<(), ArgsError>;
}

#[cfg(feature = "validation")]
impl<T: garde::Validate<Context: Default>> ProbeRules for RuleProbe<'_, T> {
    fn check(&self) -> Result<(), ArgsError> {
        first_broken_rule(self.value, self.argument, self.is_tuple)
    }
}

#[doc(hidden)]
pub trait ProbeNothing {
    fn check(&self) -> Result<(), ArgsError>;
}

impl<T> ProbeNothing for &RuleProbe<'_, T> {
    fn check(&self) -> Result<(), ArgsError> {
        Ok(())
    }
}
