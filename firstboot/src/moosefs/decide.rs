//! What is decided of `MooseFS`. Pure.

use std::net::Ipv4Addr;

use super::metadata;
use crate::outcome::Class;

/// What is known of metadata, on the node that founded the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Of each file of metadata that a server starts or is restored from, its version; nothing if it is not there.
    pub ended: Option<u64>,
    /// As above.
    pub running: Option<u64>,
    /// All names on this node that say that there is metadata.
    pub here: Vec<String>,
    /// Data disks of this node that chunks lie on.
    pub chunks: Vec<String>,
    /// Nodes that have metadata, as a metalogger fetches it.
    pub elsewhere: Vec<String>,
    /// Nodes that could not be asked.
    pub silent: Vec<String>,
    /// Who began to make a new file system, as the whole cluster knows it.
    pub record: Option<String>,
    /// What this node noted before it wrote that, if that has not come to its end.
    pub begun: Option<String>,
}

/// What the metadata server starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What it left when it ended.
    Ended,
    /// What it kept while it ran: it did not end by itself.
    Running,
    /// Nothing: a new file system.
    Empty,
}

/// What the metadata server of the founder starts from. An empty one where metadata is known anywhere would have the chunkservers delete all that
/// is stored, so that in doubt this is an error.
pub fn origin(known: &Known) -> anyhow::Result<Origin> {
    // What was begun here and has no change in it yet is nothing that could be lost.
    let is_mine = known.begun.is_some() && known.begun == known.record;
    let is_first = is_mine && !metadata::is_a_base(known.running);
    // An empty file that somebody put there is no metadata of ours.
    if metadata::is_a_base(known.ended) || is_mine && known.ended.is_some() {
        return Ok(Origin::Ended);
    }
    if known.ended.is_none() && known.running.is_some() && !is_first {
        return Ok(Origin::Running);
    }
    let refuse = |why: String| {
        Err(Class::Refused.error(format!(
            "no metadata to start mfsmaster from: {why}; a new file system would have the chunkservers delete all that is stored: restore the freshest metadata as /var/lib/mfs/metadata.mfs, then `cias run` goes on (or format the disks, if nothing on them is wanted)"
        )))
    };
    if !known.elsewhere.is_empty() {
        return refuse(format!("found metadata on {}", known.elsewhere.join(", ")));
    }
    if !is_first && !known.here.is_empty() {
        return refuse(format!("found {} in {}", known.here.join(", "), super::DATA));
    }
    // No chunk is written before the first metadata is.
    if !is_mine && !known.chunks.is_empty() {
        return refuse(format!("found chunks of an earlier file system on {}", known.chunks.join(", ")));
    }
    if let Some(record) = known.record.as_ref().filter(|_| !is_mine) {
        return refuse(format!(
            "the cluster's file system knows that one was made ({record}), and it is not here"
        ));
    }
    if !known.silent.is_empty() {
        return Err(Class::TryLater.error(format!(
            "{} cannot be asked whether there is metadata: switch on every node, or remove those that are gone for good",
            known.silent.join(", ")
        )));
    }
    Ok(Origin::Empty)
}

/// A chunkserver as the metadata server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunkserver {
    /// What it is known by.
    pub address: Ipv4Addr,
    /// It is there now.
    pub is_connected: bool,
}

/// How many copies are possible now, if `wanted` are wanted: one for each chunkserver that is there.
pub fn possible(wanted: u8, servers: &[Chunkserver]) -> u8 {
    let there = servers.iter().filter(|server| server.is_connected).count();
    u8::try_from(there).unwrap_or(u8::MAX).clamp(1, wanted.max(1))
}

/// The copies to be set, if they are not those that are there. They are lowered only in a file system with nothing in it: a chunkserver that is away for
/// a while is no reason to remove copies, and what a person raised stays.
pub fn goal(wanted: u8, now: u8, servers: &[Chunkserver], is_first: bool) -> Option<u8> {
    let possible = possible(wanted, servers);
    (possible > now || is_first && possible != now).then_some(possible)
}

/// A trash time as a dialect that keeps it in this unit tells it.
pub fn trash_time(wanted: u32, unit: u32) -> u32 {
    wanted.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_one_is_made_only_where_nothing_is_known_anywhere() {
        let word = |text: &str| Some(text.to_owned());
        let names = |text: &str| vec![text.to_owned()];
        let none = Known::default;
        let mine = || Known { record: word("a"), begun: word("a"), ..none() };
        for (known, wanted) in [
            (none(), Ok(Origin::Empty)),
            (Known { ended: Some(9), running: Some(7), here: names("x"), ..none() }, Ok(Origin::Ended)),
            (Known { ended: Some(0), ..mine() }, Ok(Origin::Ended)),
            // By hand, as 1.6.27's own error message says.
            (
                Known { ended: Some(0), here: names("metadata.mfs"), ..none() },
                Err((Class::Refused, "found metadata.mfs in")),
            ),
            (
                Known { ended: Some(0), running: Some(9), here: names("metadata.mfs"), ..none() },
                Err((Class::Refused, "found metadata.mfs in")),
            ),
            (Known { running: Some(7), here: names("x"), record: word("a"), ..none() }, Ok(Origin::Running)),
            (Known { running: Some(0), here: names("x"), record: word("a"), ..none() }, Ok(Origin::Running)),
            (
                Known { here: names("changelog.0.mfs"), ..none() },
                Err((Class::Refused, "found changelog.0.mfs in")),
            ),
            (
                Known { chunks: names("/data/disk1"), ..none() },
                Err((Class::Refused, "found chunks of an earlier file system on /data/disk1")),
            ),
            (Known { chunks: names("/data/disk1"), ended: Some(9), ..none() }, Ok(Origin::Ended)),
            (Known { chunks: names("/data/disk1"), ..mine() }, Ok(Origin::Empty)),
            (Known { elsewhere: names("n2"), ..none() }, Err((Class::Refused, "metadata on n2"))),
            (Known { elsewhere: names("n2"), ..mine() }, Err((Class::Refused, "metadata on n2"))),
            (Known { record: word("a"), ..none() }, Err((Class::Refused, "one was made (a)"))),
            (
                Known { record: word("a"), begun: word("b"), ..none() },
                Err((Class::Refused, "one was made (a)")),
            ),
            (Known { silent: names("n3"), ..none() }, Err((Class::TryLater, "n3 cannot be asked"))),
            // The power went between the note, the record, the file and its first change.
            (Known { begun: word("a"), ..none() }, Ok(Origin::Empty)),
            (mine(), Ok(Origin::Empty)),
            (Known { running: Some(0), here: names("changelog.0.mfs"), ..mine() }, Ok(Origin::Empty)),
            (Known { running: Some(2), here: names("changelog.0.mfs"), ..mine() }, Ok(Origin::Running)),
        ] {
            let found = origin(&known).map_err(|error| (Class::of(&error), error.to_string()));
            match (&found, wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(*found, wanted, "{known:?}"),
                (Err((class, said)), Err((wanted, part))) => {
                    assert!(*class == wanted && said.contains(part), "{known:?}: {said}");
                }
                _ => panic!("{known:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn copies_are_raised_when_there_is_room_and_lowered_only_at_first() {
        let servers = |connected: u8, away: u8| {
            let server = |is_connected| Chunkserver { address: Ipv4Addr::LOCALHOST, is_connected };
            let there = (0..connected).map(|_| server(true));
            there.chain((0..away).map(|_| server(false))).collect::<Vec<_>>()
        };
        for (wanted, now, (connected, away), is_first, set) in [
            (2, 1, (1, 0), false, None),
            (2, 1, (2, 0), false, Some(2)),
            (2, 1, (1, 1), false, None),
            (2, 2, (1, 1), false, None),
            (2, 2, (0, 2), false, None),
            (2, 3, (4, 0), false, None),
            (3, 1, (2, 0), false, Some(2)),
            (3, 2, (4, 0), false, Some(3)),
            (1, 1, (4, 0), false, None),
            // 3.0 begins with 2.
            (2, 2, (1, 0), true, Some(1)),
            (2, 2, (0, 0), true, Some(1)),
            (2, 2, (2, 0), true, None),
        ] {
            let found = goal(wanted, now, &servers(connected, away), is_first);
            assert_eq!(found, set, "{wanted} wanted, {now} now, {connected} there, {away} away");
        }
    }

    #[test]
    fn a_trash_time_is_told_in_the_dialects_unit() {
        for (wanted, unit, told) in [(86400, 3600, 86400), (5400, 3600, 7200), (5400, 1, 5400), (0, 3600, 0)]
        {
            assert_eq!(trash_time(wanted, unit), told, "{wanted} {unit}");
        }
    }
}
