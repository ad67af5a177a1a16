//! Rooms of one member.

use std::collections::HashMap;

use smallvec::SmallVec;

/// Number of rooms from which on they are indexed by a map. Most members are in fewer.
const MIN_INDEXED_ROOMS: usize = 16;

/// The rooms of one member, and its position in the member list of each. Finding, adding and removing one takes the
/// same time, regardless of their number.
#[derive(Debug, Default)]
pub(super) struct Links {
    list: SmallVec<[(u32, u32); 2]>,
    /// Positions in the list of rooms, if there are many.
    index: Option<Box<Index>>,
}

/// Positions by room. Boxed, because most members are in few rooms.
#[derive(Debug)]
struct Index(HashMap<u32, u32, foldhash::fast::RandomState>);

impl Links {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn rooms(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.list.iter().map(|&(room, _)| room)
    }

    #[inline]
    fn at(&self, room: u32) -> Option<usize> {
        match &self.index {
            None => self.list.iter().rposition(|&(r, _)| r == room),
            Some(index) => index.0.get(&room).map(|&at| at as usize),
        }
    }

    #[inline]
    pub(super) fn has(&self, room: u32) -> bool {
        self.at(room).is_some()
    }

    /// Adds a room that is not there yet.
    #[inline]
    pub(super) fn push(&mut self, room: u32, position: u32) {
        let at = self.list.len();
        self.list.push((room, position));
        match &mut self.index {
            Some(index) => {
                index.0.insert(room, at as u32);
            }
            None if at < MIN_INDEXED_ROOMS => {}
            None => {
                let rooms = self.list.iter().map(|&(room, _)| room);
                self.index = Some(Box::new(Index(rooms.zip(0..).collect())));
            }
        }
    }

    /// Removes a room; returns the position that the member had in it.
    #[inline]
    pub(super) fn remove(&mut self, room: u32) -> Option<u32> {
        let at = self.at(room)?;
        let (_, position) = self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.0.remove(&room);
            if let Some(&(moved, _)) = self.list.get(at) {
                index.0.insert(moved, at as u32);
            }
            if self.list.len() < MIN_INDEXED_ROOMS / 2 {
                self.index = None;
            }
        }
        Some(position)
    }

    /// Updates the position of the member in a room.
    #[inline]
    pub(super) fn moved(&mut self, room: u32, position: u32) {
        if let Some(at) = self.at(room)
            && let Some(link) = self.list.get_mut(at)
        {
            link.1 = position;
        }
    }
}
