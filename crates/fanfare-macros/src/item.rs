//! The type that a derive is applied to, as both derives see it.

use proc_macro2::TokenStream;
use syn::{Attribute, Error, Fields, Generics, Ident, Item, Path, Result};

use crate::lengths;

/// Shape of a type.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A struct with named fields, or an enum.
    Named,
    /// A tuple struct, with its number of fields.
    Tuple(usize),
    /// A struct without fields.
    Unit,
}

/// A type that a derive is applied to.
pub(crate) struct Declared {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) shape: Shape,
    /// Whether the type or a field has an attribute of `garde`.
    pub(crate) has_rules: bool,
}

impl Declared {
    /// Parses a struct or an enum; `what` names the expected kind in the error.
    pub(crate) fn parse(item: TokenStream, what: &str) -> Result<Self> {
        let mut shape = Shape::Named;
        let mut has_rules = false;
        let (attributes, name, generics) = match syn::parse2(item)? {
            Item::Struct(item) => {
                shape = match &item.fields {
                    Fields::Named(_) => Shape::Named,
                    Fields::Unnamed(fields) => Shape::Tuple(fields.unnamed.len()),
                    Fields::Unit => Shape::Unit,
                };
                lengths::check(&item.fields)?;
                has_rules |= have_rules(&item.fields);
                (item.attrs, item.ident, item.generics)
            }
            Item::Enum(item) => {
                let mut variants = item.variants.iter();
                variants.try_for_each(|variant| lengths::check(&variant.fields))?;
                has_rules |= item
                    .variants
                    .iter()
                    .any(|variant| are_rules(&variant.attrs) || have_rules(&variant.fields));
                (item.attrs, item.ident, item.generics)
            }
            other => {
                return Err(Error::new_spanned(
                    other,
                    format!("{what} is a struct or an enum"),
                ));
            }
        };
        has_rules |= are_rules(&attributes);
        Ok(Self {
            attributes,
            name,
            generics,
            shape,
            has_rules,
        })
    }
}

fn have_rules(fields: &Fields) -> bool {
    fields.iter().any(|field| are_rules(&field.attrs))
}

fn are_rules(attributes: &[Attribute]) -> bool {
    let mut attributes = attributes.iter();
    attributes.any(|attribute| attribute.path().is_ident("garde"))
}

/// An option that may be given once.
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
