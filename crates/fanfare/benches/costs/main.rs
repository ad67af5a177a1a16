//! Cost of input to the server: instructions and bytes held per byte that an attacker sends, for every stage that reads
//! input. `cargo xtask test costs` runs this under callgrind with inputs of doubling size. Limits are in
//! `costs.limits`.
//!
//! Called with the name of an input and a size, it sends the input and prints the number of bytes sent and the peak of
//! the heap meanwhile. Called without, it prints the names and the smallest size of each.

#![allow(clippy::expect_used, reason = "a broken benchmark ends")]

mod arguments;
mod handshake;
mod packets;
mod rooms;
mod target;

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// An input: its name, its smallest size in input-specific units (arguments, rooms, headers …), and its constructor.
struct Input {
    name: &'static str,
    smallest: usize,
    attack: fn(usize) -> target::Attack,
}

const fn input(name: &'static str, smallest: usize, attack: fn(usize) -> target::Attack) -> Input {
    Input {
        name,
        smallest,
        attack,
    }
}

fn inputs() -> impl Iterator<Item = &'static Input> {
    [
        packets::INPUTS,
        arguments::INPUTS,
        rooms::INPUTS,
        handshake::INPUTS,
    ]
    .into_iter()
    .flatten()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, size] = args.as_slice() else {
        return inputs().for_each(|input| println!("{} {}", input.name, input.smallest));
    };
    // `cargo bench` passes options; without callgrind there is nothing to measure.
    let Some(input) = inputs().find(|input| input.name == name) else {
        return;
    };
    let size = size.parse().expect("the size is a number");
    let cost = target::measure((input.attack)(size));
    println!("{} {}", cost.sent, cost.held);
}
