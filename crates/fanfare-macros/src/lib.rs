//! Macros of the Socket.IO server [`fanfare`](https://docs.rs/fanfare), its client and the crates that both share. Use
//! them through these crates, with their feature `macros`.

#![forbid(unsafe_code)]

mod contract;
mod debug_handler;
mod item;
mod lengths;
mod typed_event;

use proc_macro::TokenStream;
use quote::quote;

/// Makes the compiler point at the part of a handler that is wrong: the parameter that is no extractor, the value that
/// cannot be returned, the value that is held over an `.await` and is not `Send`. Changes nothing else and costs
/// nothing at run time; remove it once the handler compiles.
///
/// The purpose of the handler is given in brackets:
///
/// | attribute | handlers of |
/// |---|---|
/// | `#[fanfare::debug_handler]` | `on`, `once`, `on_any`, `fallback`, `on_server_event` |
/// | `#[fanfare::debug_handler(packet_middleware)]` | `packet_middleware` |
/// | `#[fanfare::debug_handler(middleware)]` | `middleware` |
/// | `#[fanfare::debug_handler(connect)]` | `on_connect` |
/// | `#[fanfare::debug_handler(disconnect)]` | `on_disconnecting`, `on_disconnect` |
///
/// It works on `async fn` items without type parameters; rewrite a closure as a function to check it.
///
/// ```
/// use fanfare::{Ack, Data, EmitError, Namespace, Socket};
///
/// #[fanfare::debug_handler]
/// async fn say(socket: Socket, Data(text): Data<String>) -> Result<Ack<&'static str>, EmitError> {
///     socket.broadcast().emit("said", &text)?;
///     Ok(Ack("delivered"))
/// }
///
/// let chat = Namespace::new("/chat").on("say", say);
/// ```
///
/// Here the compiler reports, under the type `String`: "`String` is not an extractor for `OnEvent`", "to receive the
/// arguments of an event, wrap the type: `Data<T>`":
///
/// ```compile_fail,E0277
/// # use fanfare::Socket;
/// #[fanfare::debug_handler]
/// async fn say(socket: Socket, text: String) {}
/// ```
#[proc_macro_attribute]
pub fn debug_handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    debug_handler::expand(attribute.into(), item.into()).into()
}

// Each derive exists once for each crate that re-exports it, so that the generated code finds the traits in the crate
// that the user depends on.

#[doc = include_str!("typed_event.md")]
#[proc_macro_derive(TypedEvent, attributes(event))]
pub fn typed_event(item: TokenStream) -> TokenStream {
    typed_event::expand(quote!(::fanfare_protocol), item.into()).into()
}

#[doc = include_str!("typed_event.md")]
#[proc_macro_derive(TypedEventOfServer, attributes(event))]
pub fn typed_event_of_server(item: TokenStream) -> TokenStream {
    typed_event::expand(quote!(::fanfare), item.into()).into()
}

#[doc = include_str!("typed_event.md")]
#[proc_macro_derive(TypedEventOfClient, attributes(event))]
pub fn typed_event_of_client(item: TokenStream) -> TokenStream {
    typed_event::expand(quote!(::fanfare_client), item.into()).into()
}

#[doc = include_str!("contract.md")]
#[proc_macro_derive(Contract, attributes(contract))]
pub fn contract(item: TokenStream) -> TokenStream {
    contract::expand(quote!(::fanfare_protocol), item.into()).into()
}

#[doc = include_str!("contract.md")]
#[proc_macro_derive(ContractOfServer, attributes(contract))]
pub fn contract_of_server(item: TokenStream) -> TokenStream {
    contract::expand(quote!(::fanfare), item.into()).into()
}

#[doc = include_str!("contract.md")]
#[proc_macro_derive(ContractOfClient, attributes(contract))]
pub fn contract_of_client(item: TokenStream) -> TokenStream {
    contract::expand(quote!(::fanfare_client), item.into()).into()
}
