//! A trace for ui.perfetto.dev.
//!
//! At the top one track for each finding; then each process with its life, its threads, their long
//! waits as slices, forks as flows from parent to child and locks as flows from holder to waiter. A
//! wait that went on when the log ended is a slice without an end.

mod draw;
mod intern;
mod proto;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use prost::Message as _;

use super::Timeline;
use draw::{Drawn, Kind};
use intern::{Interner, Table};
use proto::{
    CLOCK_BOOTTIME, CLOCK_REALTIME, Clock, ClockSnapshot, DebugAnnotation, INSTANT,
    SEQ_INCREMENTAL_STATE_CLEARED, SEQ_NEEDS_INCREMENTAL_STATE, SLICE_BEGIN, SLICE_END, Trace,
    TracePacket, TrackDescriptor, TrackEvent,
};

/// The one sequence of packets that is written.
const SEQUENCE: u32 = 1;

/// Writes a story; `suspects`: with findings that `report` shows only with `--suspects`.
///
/// # Errors
/// When `w` cannot be written.
pub fn write(w: &mut impl Write, story: &Timeline, suspects: bool) -> io::Result<()> {
    packet(w, clocks(story))?;
    for tree in draw::process_trees(story) {
        packet(w, TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), ..tree })?;
    }
    let (tracks, drawn) = draw::all(story, suspects);
    for track in tracks {
        packet(w, descriptor(track))?;
    }
    let mut interner = Interner::default();
    for (at, event) in drawn.iter().enumerate() {
        let mut event_packet = event_packet(event, &mut interner);
        if at == 0 {
            event_packet.first_packet_on_sequence = Some(true);
            event_packet.sequence_flags = Some(SEQ_INCREMENTAL_STATE_CLEARED);
        }
        packet(w, event_packet)?;
    }
    Ok(())
}

/// How many packets a written trace has; `None`: it is none.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn packets(trace: &[u8]) -> Option<usize> {
    Trace::decode(trace).ok().map(|trace| trace.packet.len())
}

/// Every text in a written trace that may come from a traced program; `None`: it is none.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn texts(trace: &[u8]) -> Option<Vec<String>> {
    let packets = Trace::decode(trace).ok()?.packet;
    let of_packet = |packet: TracePacket| {
        let track = packet.track_descriptor.unwrap_or_default();
        let new = packet.interned_data.unwrap_or_default();
        let tree = packet.process_tree.unwrap_or_default();
        let named = [
            track.name,
            track.process.and_then(|process| process.process_name),
            track.thread.and_then(|thread| thread.thread_name),
        ];
        let interned = [
            new.event_categories,
            new.event_names,
            new.debug_annotation_names,
            new.debug_annotation_string_values,
        ];
        let interned = interned.into_iter().flatten().filter_map(|text| text.name);
        let commands = tree.processes.into_iter().flat_map(|process| process.cmdline);
        named.into_iter().flatten().chain(interned).chain(commands).collect::<Vec<_>>()
    };
    Some(packets.into_iter().flat_map(of_packet).collect())
}

/// A trace is a message with packets as its only field: written one after the other they are it.
fn packet(w: &mut impl Write, packet: TracePacket) -> io::Result<()> {
    w.write_all(&Trace { packet: vec![packet] }.encode_to_vec())
}

/// Both clocks at one instant, by which the viewer knows the time of day.
fn clocks(story: &Timeline) -> TracePacket {
    let boot = story.trace.start_ns;
    let real = boot.saturating_add_signed(story.trace.clock_offset_ns);
    let clock = |id, ns| Clock { clock_id: Some(id), timestamp: Some(ns) };
    TracePacket {
        trusted_packet_sequence_id: Some(SEQUENCE),
        timestamp: Some(boot),
        clock_snapshot: Some(ClockSnapshot {
            clocks: vec![clock(CLOCK_BOOTTIME, boot), clock(CLOCK_REALTIME, real)],
            primary_trace_clock: Some(CLOCK_BOOTTIME),
        }),
        ..TracePacket::default()
    }
}

fn descriptor(track: TrackDescriptor) -> TracePacket {
    TracePacket {
        trusted_packet_sequence_id: Some(SEQUENCE),
        track_descriptor: Some(track),
        ..TracePacket::default()
    }
}

fn event_packet(drawn: &Drawn, interner: &mut Interner) -> TracePacket {
    let begins = drawn.kind != Kind::End;
    let annotations = drawn.facts.iter().map(|(name, value)| DebugAnnotation {
        name_iid: Some(interner.number(Table::AnnotationName, name)),
        string_value_iid: Some(interner.number(Table::AnnotationValue, value)),
    });
    let debug_annotations = annotations.collect();
    let event = TrackEvent {
        r#type: Some(match drawn.kind {
            Kind::Begin => SLICE_BEGIN,
            Kind::End => SLICE_END,
            Kind::Instant => INSTANT,
        }),
        track_uuid: Some(drawn.track),
        name_iid: begins.then(|| interner.number(Table::Name, &drawn.name)),
        category_iids: match begins {
            true => vec![interner.number(Table::Category, drawn.category)],
            false => Vec::new(),
        },
        debug_annotations,
        flow_ids: drawn.flows.clone(),
        terminating_flow_ids: drawn.flows_end.clone(),
    };
    TracePacket {
        trusted_packet_sequence_id: Some(SEQUENCE),
        timestamp: Some(drawn.at),
        timestamp_clock_id: Some(CLOCK_BOOTTIME),
        sequence_flags: Some(SEQ_NEEDS_INCREMENTAL_STATE),
        track_event: Some(event),
        interned_data: interner.definitions(),
        ..TracePacket::default()
    }
}
