//! raddle's own locks and channels.

use super::super::world::Actor;

pub(super) fn any(actor: &mut Actor) {
    actor.step();
}
