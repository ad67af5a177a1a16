//! The unchanged function, followed by one small check for each requirement of a handler, whose error points at the
//! offending part.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, ReturnType, Type};

/// Maximum number of parameters for which `fanfare` implements `Handler`.
const MAX_PARAMETERS: usize = 8;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let checks = Kind::parse(attribute)
        .and_then(|kind| Ok((kind, syn::parse2::<ItemFn>(item.clone())?)))
        .and_then(|(kind, function)| kind.checks(&function));
    let checks = checks.unwrap_or_else(Error::into_compile_error);
    quote! { #item #checks }
}

/// Purpose of a handler.
#[derive(Clone, Copy)]
enum Kind {
    Event,
    PacketMiddleware,
    Middleware,
    Connect,
    Disconnect,
}

impl Kind {
    fn parse(attribute: TokenStream) -> Result<Self, Error> {
        if attribute.is_empty() {
            return Ok(Self::Event);
        }
        let name = attribute.to_string();
        Ok(match name.as_str() {
            "packet_middleware" => Self::PacketMiddleware,
            "middleware" => Self::Middleware,
            "connect" => Self::Connect,
            "disconnect" => Self::Disconnect,
            _ => {
                let message = format!(
                    "`{name}` is no kind of handler: write `packet_middleware`, `middleware`, `connect` or \
                     `disconnect`, or nothing for a handler of events"
                );
                return Err(Error::new_spanned(attribute, message));
            }
        })
    }

    fn moment(self) -> TokenStream {
        match self {
            Self::Event | Self::PacketMiddleware => quote!(::fanfare::handler::OnEvent),
            Self::Middleware | Self::Connect => quote!(::fanfare::handler::OnConnect),
            Self::Disconnect => quote!(::fanfare::handler::OnDisconnect),
        }
    }

    /// Returns the check of the return type; an error points at the span.
    fn outcome(self, span: Span) -> TokenStream {
        let error = match self {
            Self::Event => return quote_spanned!(span=> ::fanfare::handler::IntoAck),
            Self::Middleware => quote!(::fanfare::ConnectError),
            Self::PacketMiddleware | Self::Connect | Self::Disconnect => {
                quote!(::fanfare::EventError)
            }
        };
        quote_spanned!(span=> ::fanfare::handler::IntoOutcome<#error>)
    }

    fn checks(self, function: &ItemFn) -> Result<TokenStream, Error> {
        let signature = &function.sig;
        if signature.asyncness.is_none() {
            return Err(Error::new(
                signature.fn_token.span,
                "a handler is an `async fn`",
            ));
        }
        if !signature.generics.params.is_empty() {
            return Err(Error::new_spanned(
                &signature.generics,
                "`debug_handler` cannot check functions with type parameters or lifetimes",
            ));
        }
        if let Some(extra) = signature.inputs.iter().nth(MAX_PARAMETERS) {
            return Err(Error::new_spanned(
                extra,
                format!(
                    "a handler takes at most {MAX_PARAMETERS} parameters, this one has {}",
                    signature.inputs.len()
                ),
            ));
        }
        let types = signature
            .inputs
            .iter()
            .map(parameter)
            .collect::<Result<Vec<_>, _>>()?;
        let moment = self.moment();
        let parameters = types.iter().map(|ty| {
            quote_spanned! {ty.span()=>
                fn parameter() where #ty: ::fanfare::extract::FromContext<#moment> {}
            }
        });
        let unit = Type::Verbatim(quote!(()));
        let (returned, span) = match &signature.output {
            ReturnType::Default => (&unit, signature.fn_token.span),
            ReturnType::Type(_, ty) => (&**ty, ty.span()),
        };
        let outcome = self.outcome(span);
        let output = quote_spanned! {span=>
            fn output() where #returned: #outcome {}
        };
        let name = &signature.ident;
        let call = quote_spanned! {name.span()=>
            fn future() {
                fn value<T>() -> T { ::core::unreachable!() }
                fn is_send(_: impl ::core::future::Future + ::core::marker::Send + 'static) {}
                is_send(#name(#(value::<#types>()),*));
            }
        };
        let parameters = parameters.map(|check| quote! { const _: () = { #check }; });
        Ok(quote! {
            #(#[allow(dead_code, trivial_bounds)] #parameters)*
            #[allow(dead_code, trivial_bounds)] const _: () = { #output };
            #[allow(dead_code, unreachable_code)] const _: () = { #call };
        })
    }
}

/// Returns the type of a parameter.
fn parameter(input: &FnArg) -> Result<&Type, Error> {
    match input {
        FnArg::Receiver(receiver) => Err(Error::new_spanned(
            receiver,
            "a handler is a free function; state comes by the extractor `State<S>`",
        )),
        FnArg::Typed(pattern) => match &*pattern.ty {
            Type::Reference(reference) => {
                let owned = &reference.elem;
                Err(Error::new_spanned(
                    reference,
                    format!("a handler owns its parameters: take `{}`", quote!(#owned)),
                ))
            }
            ty => Ok(ty),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(attribute: TokenStream, item: TokenStream) -> String {
        let expanded = expand(attribute, item).to_string();
        assert!(expanded.contains("compile_error"), "{expanded}");
        expanded
    }

    #[test]
    fn what_can_be_seen_without_types_is_said_at_once() {
        let none = TokenStream::new;
        for (attribute, item, expected) in [
            (
                none(),
                quote!(
                    fn f() {}
                ),
                "a handler is an `async fn`",
            ),
            (
                none(),
                quote!(
                    async fn f<T>(x: T) {}
                ),
                "type parameters",
            ),
            (
                none(),
                quote!(
                    async fn f(&self) {}
                ),
                "a free function",
            ),
            (
                none(),
                quote!(
                    async fn f(s: &Socket) {}
                ),
                "take `Socket`",
            ),
            (
                none(),
                quote!(
                    async fn f(a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A, i: A) {}
                ),
                "at most 8 parameters, this one has 9",
            ),
            (
                quote!(event),
                quote!(
                    async fn f() {}
                ),
                "`event` is no kind",
            ),
            (
                none(),
                quote!(
                    struct S;
                ),
                "expected",
            ),
        ] {
            let error = refused(attribute, item.clone());
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(
                error.starts_with(&item.to_string()),
                "the item stays: {error}"
            );
        }
    }

    #[test]
    fn a_good_handler_stays_as_it_is() {
        let item = quote!(
            async fn f(socket: Socket) -> Ack<u32> {
                Ack(1)
            }
        );
        for kind in [
            "",
            "packet_middleware",
            "middleware",
            "connect",
            "disconnect",
        ] {
            let attribute = kind.parse().expect("a name");
            let expanded = expand(attribute, item.clone()).to_string();
            assert!(expanded.starts_with(&item.to_string()));
            assert!(!expanded.contains("compile_error"), "{expanded}");
        }
    }
}
