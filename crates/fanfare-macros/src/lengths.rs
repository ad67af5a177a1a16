//! Units of `#[garde(length(…))]` on texts.
//!
//! Without a mode, such a rule counts the bytes of a text, while the exported JSON Schema counts its characters: a text
//! that the schema permits would be rejected. So the author has to say which of both is meant.

use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprCall, Fields, GenericArgument, PathArguments, Result, Token, Type};

/// Types of the standard library that are a text, or that contain one which `garde` measures.
const TEXTS: [&str; 2] = ["String", "str"];
const WRAPPERS: [&str; 5] = ["Option", "Box", "Arc", "Rc", "Cow"];

/// Checks the rules of all fields.
pub(crate) fn check(fields: &Fields) -> Result<()> {
    for field in fields {
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("garde")) {
            // `garde` reports what cannot be parsed.
            let parse = Punctuated::<Expr, Token![,]>::parse_terminated;
            if let Ok(rules) = attribute.parse_args_with(parse) {
                rules
                    .iter()
                    .try_for_each(|rule| check_rule(rule, &field.ty))?;
            }
        }
    }
    Ok(())
}

fn check_rule(rule: &Expr, ty: &Type) -> Result<()> {
    let Expr::Call(ExprCall { func, args, .. }) = rule else {
        return Ok(());
    };
    let Expr::Path(name) = &**func else {
        return Ok(());
    };
    if name.path.is_ident("inner") {
        let Some(element) = element(ty) else {
            return Ok(());
        };
        return args.iter().try_for_each(|rule| check_rule(rule, element));
    }
    let is_simple = |arg: &Expr| match arg {
        Expr::Path(mode) => mode.path.is_ident("simple"),
        _ => true,
    };
    if name.path.is_ident("length") && is_text(ty) && args.iter().all(is_simple) {
        return Err(Error::new_spanned(
            rule,
            "this length counts bytes, and exported schemas count characters: write `length(chars, …)`, or \
             `length(bytes, …)` if bytes are meant",
        ));
    }
    Ok(())
}

/// Whether `garde` measures a text.
fn is_text(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_text(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let is = |names: &[&str]| names.iter().any(|name| last.ident == name);
            is(&TEXTS) || is(&WRAPPERS) && argument(&last.arguments).is_some_and(is_text)
        }),
        _ => false,
    }
}

/// Returns the type of the elements of a list, an array, an option or a map.
fn element(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) => element(&reference.elem),
        Type::Array(array) => Some(&array.elem),
        Type::Slice(slice) => Some(&slice.elem),
        Type::Path(path) => argument(&path.path.segments.last()?.arguments),
        _ => None,
    }
}

/// Returns the last type argument, which is the value of a map.
fn argument(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return None;
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.last()
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    use super::*;

    #[test]
    fn lengths_of_texts_have_a_unit() {
        let result = |rule: proc_macro2::TokenStream, ty: proc_macro2::TokenStream| {
            let item: syn::ItemStruct = parse_quote!(struct Say { #[garde(#rule)] field: #ty });
            check(&item.fields).is_ok()
        };
        for ty in [
            quote!(String),
            quote!(&'static str),
            quote!(Option<String>),
            quote!(Cow<'static, str>),
            quote!(std::sync::Arc<str>),
        ] {
            for rule in [
                quote!(length(max = 5)),
                quote!(ascii, length(simple, min = 5)),
            ] {
                assert!(!result(rule.clone(), ty.clone()), "{rule} {ty}");
                assert!(
                    !result(quote!(inner(#rule)), quote!(Vec<#ty>)),
                    "{rule} {ty}"
                );
            }
            for mode in [
                quote!(chars),
                quote!(bytes),
                quote!(utf16),
                quote!(graphemes),
            ] {
                assert!(result(quote!(length(#mode, min = 1, max = 5)), ty.clone()));
            }
        }
        for ty in [
            quote!(Vec<String>),
            quote!(BTreeSet<String>),
            quote!([String; 2]),
            quote!(Bytes),
        ] {
            assert!(result(quote!(length(max = LIMIT)), ty.clone()), "{ty}");
        }
        let map = quote!(BTreeMap<u8, String>);
        assert!(!result(
            quote!(length(max = 5), inner(length(max = 5))),
            map
        ));
        assert!(result(quote!(if(cond = true, length(max = 5))), quote!(u8)));
    }
}
