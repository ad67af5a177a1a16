//! Which event a handler takes.

use super::{Typed, TypedEvent};

/// Where among the parameters of a handler the event is; inferred.
#[derive(Debug)]
pub enum At<const INDEX: usize> {}

/// The parameters of a handler, one of which is [`Typed<E>`](Typed): by this the event is known, and its name. `I` is
/// [`At`] its place; it is inferred.
#[diagnostic::on_unimplemented(
    message = "a handler with the parameters `{Self}` takes no typed event",
    label = "no parameter of it is `Typed<…>`",
    note = "one parameter has to be `Typed<E>`, where `E` is the type of the event: it says which event is handled",
    note = "a handler of an event without a type of its own is added by name, with `on`"
)]
pub trait TakesEvent<I> {
    /// The event.
    type Event: TypedEvent;
}

/// For a tuple of parameters, one `impl` for each place where the event may be.
macro_rules! takes_event {
    ([$($before:ident)*] $index:expr; $_here:ident $($after:ident)*) => {
        impl<$($before,)* E: TypedEvent, $($after,)*> TakesEvent<At<{ $index }>>
            for ($($before,)* Typed<E>, $($after,)*)
        {
            type Event = E;
        }
        takes_event!([$($before)* $_here] $index + 1; $($after)*);
    };
    ([$($before:ident)*] $index:expr;) => {};
}

takes_event!([] 0; A);
takes_event!([] 0; A B);
takes_event!([] 0; A B C);
takes_event!([] 0; A B C D);
takes_event!([] 0; A B C D F);
takes_event!([] 0; A B C D F G);
takes_event!([] 0; A B C D F G H);
takes_event!([] 0; A B C D F G H I);
