//! What both derives see of the type that they are on.

use proc_macro2::TokenStream;
use syn::{Attribute, Error, Generics, Ident, Item, Path, Result};

/// A type that a derive is on.
pub(crate) struct Declared {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
}

impl Declared {
    /// A struct or an enum; `what` it should be is for the error.
    pub(crate) fn parse(item: TokenStream, what: &str) -> Result<Self> {
        let (attributes, name, generics) = match syn::parse2(item)? {
            Item::Struct(item) => (item.attrs, item.ident, item.generics),
            Item::Enum(item) => (item.attrs, item.ident, item.generics),
            other => {
                return Err(Error::new_spanned(
                    other,
                    format!("{what} is a struct or an enum"),
                ));
            }
        };
        Ok(Self {
            attributes,
            name,
            generics,
        })
    }
}

/// What may be said once.
pub(crate) struct Once<T>(pub(crate) Option<T>);

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn set(&mut self, path: &Path, value: T) -> Result<()> {
        if self.0.is_some() {
            let name = path.get_ident().map(Ident::to_string).unwrap_or_default();
            return Err(Error::new_spanned(path, format!("`{name}` is said twice")));
        }
        self.0 = Some(value);
        Ok(())
    }
}
