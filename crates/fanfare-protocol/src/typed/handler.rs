//! Event of a typed handler.

use super::{Typed, TypedEvent};

/// Position of the event among the parameters of a handler; inferred.
#[derive(Debug)]
pub enum At<const INDEX: usize> {}

/// Parameters of a handler, one of which is [`Typed<E>`](Typed), from which the event and its name follow. `I` is
/// [`At`] its position; it is inferred.
#[diagnostic::on_unimplemented(
    message = "a handler with the parameters `{Self}` takes no typed event",
    label = "no parameter of it is `Typed<…>`",
    note = "one parameter has to be `Typed<E>`, where `E` is the type of the event: it says which event is handled",
    note = "a handler of an event without a type of its own is added by name, with `on`"
)]
pub trait TakesEvent<I> {
    /// Event that the handler takes.
    type Event: TypedEvent;
}

/// Implements the trait for a tuple of parameters, once for each position of the event.
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
