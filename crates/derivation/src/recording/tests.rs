#![allow(clippy::unwrap_used)]
use alloc::format;
use alloc::string::ToString;

use opal_protocol::{Hardfork, L2BlockRef, SystemConfig};

use super::*;

use crate::test_utils::{config_at, l1_ref};

fn run(recording: &str) -> Result<Vec<Step>, RecordingError> {
    replay(recording, UpgradeBundles::default())
}

fn start() -> DerivationStart {
    DerivationStart {
        safe_head: L2BlockRef { l1_origin: l1_ref(1).id(), ..L2BlockRef::default() },
        safe_system_config: SystemConfig::default(),
        l1: l1_ref(1),
        l1_system_config: SystemConfig::default(),
    }
}

fn recording() -> String {
    let mut recorder = Recorder::new(&config_at(Hardfork::Karst));
    recorder.start(&start());
    recorder.step();
    recorder.input(&Input::L1NotYet { number: 1 });
    recorder.step();
    recorder.step();
    recorder.end();
    recorder.take()
}

#[test]
fn each_recorded_step_comes_again() {
    let steps = run(&recording()).unwrap();
    let need = Step::Need(crate::Request::L1Block { number: 1 });
    assert_eq!(steps, [need.clone(), Step::Idle, need]);
}

#[test]
fn a_recording_that_was_cut_off_says_so() {
    let text = recording();
    let lines: Vec<&str> = text.lines().collect();
    for keep in 1..lines.len() {
        let error = run(&lines[..keep].join("\n")).unwrap_err();
        assert_eq!(error, RecordingError { line: keep as u64, problem: Problem::Cut });
    }
    // Within a line.
    let error = run(&text[..text.len() - 4]).unwrap_err();
    assert!(matches!(error.problem, Problem::Json(_)), "{error}");
    assert!(matches!(run("").unwrap_err().problem, Problem::Json(_)));
}

#[test]
fn the_blob_parameters_of_an_l1_of_its_own_are_recorded() {
    let mut config = config_at(Hardfork::Karst);
    config.l1_blob_schedule = Some(L1BlobSchedule::new([(5, 7), (1, 3)]));
    let first = Recorder::new(&config).take();
    let replay = Replay::new(&first, UpgradeBundles::default()).unwrap();
    assert_eq!(**replay.config(), config);
}

#[test]
fn errors_name_line_and_field() {
    let head = recording().lines().next().unwrap().to_string();
    let start = recording().lines().nth(1).unwrap().to_string();
    let error = |line: &str| run(&format!("{head}\n{start}\n{line}")).unwrap_err().to_string();
    let cases = [
        (r#"{"event":"l1_not_yet"}"#, "line 3: number: missing"),
        (r#"{"event":"l1_not_yet","number":1,"x":2}"#, "line 3: x: unknown field"),
        (r#"{"event":"guess"}"#, r#"line 3: unknown event "guess""#),
        (r#"{"event":"steps","count":65537}"#, "line 3: count: 65537 is more than 65536"),
        (
            r#"{"event":"blobs","block":{"hash":"0x0000000000000000000000000000000000000000000000000000000000000000","number":1},"blobs":["0x00"]}"#,
            "line 3: blobs[0]: 1 bytes, a blob has 131072",
        ),
        (
            r#"{"event":"l1_block","header":"0xc0","transactions":[],"receipts":[]}"#,
            "line 3: header: ",
        ),
        (
            r#"{"event":"l1_block","header":"0x","transactions":["00"],"receipts":[]}"#,
            "line 3: transactions[0]: not a string of hex digits",
        ),
        (
            r#"{"event":"l1_block","header":"0x","transactions":[],"receipts":["0x02"]}"#,
            "line 3: receipts[0]: ",
        ),
        (r#"{"event":"invalid"}"#, "line 3: something was executed where the machine says Need"),
        ("[]", "line 3: not a JSON object"),
        ("{\"event\":\"end\"}\n{\"event\":\"end\"}", "line 4: comes after"),
    ];
    for (line, expected) in cases {
        assert!(error(line).starts_with(expected), "{}", error(line));
    }
    let early = run(&format!("{head}\n{{\"event\":\"invalid\"}}")).unwrap_err();
    assert_eq!(early, RecordingError { line: 2, problem: Problem::NotStarted });
    let newer = head.replace("\"version\":1", "\"version\":2");
    assert!(matches!(run(&newer).unwrap_err().problem, Problem::Version(_)));
    assert!(matches!(run("{}").unwrap_err().problem, Problem::Format(_)));
    let config = head.replace("\"block_time\":2", "\"block_time\":0");
    assert!(run(&config).unwrap_err().to_string().contains("line 1: rollup: block_time"));
}
