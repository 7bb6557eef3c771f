use super::super::long_polls::write;
use super::{facts, text};
use asyncscope_model::testing::script::with_long_polls;

/// Task 1 is off the CPU in two polls at one place, and tasks 2 and 3 wait behind it.
const SCRIPT: &str = "1/0 code 16 std::thread::sleep; 1/0 code 17 svc::naps; 1/0 stack 5 poll 16 17; 1/0 name main; \
                      1/90 poll 1; 1/70 spawn 2; 1/50 off-cpu 62 5; 1/80 end 1 woken; 1/90 poll 2; 1/80 end 2 done; \
                      1/90 poll 1; 1/70 spawn 3; 1/50 off-cpu 122 5; 1/80 end 1; 1/90 poll 3; 1/80 end 3 done";

#[test]
fn who_delayed_whom_and_where() {
    let mut facts = facts("svc::handle");
    facts.off_cpu = true;
    let table = text(|out| write(&with_long_polls(SCRIPT, 20), &facts, 20, out));
    let expected = "\
polls of 20ns or longer, by task type and place; first what delayed other tasks most

  DELAYED   TASKS   POLLS      TOOK   LONGEST   OFF-CPU  TASK TYPE
";
    assert!(table.starts_with(expected), "{table}");
    assert!(table.contains("     40ns       2       2      60ns      30ns      16ns  svc::handle\n"), "{table}");
    assert!(table.contains("  delayed svc::query: once, 20ns\n"), "{table}");
    assert!(table.contains("  off the CPU in std::thread::sleep\n"), "{table}");
}

/// The trap took longest: no function is named.
#[test]
fn no_function_is_named_for_asyncscope_s_own_trap() {
    let script = "1/0 code 16 svc::naps; 1/0 stack 5 poll 16; 1/90 poll 1; 1/50 off-cpu 31 trap; 1/50 off-cpu 42 5; \
                  1/80 end 1";
    let mut facts = facts("svc::handle");
    facts.off_cpu = true;
    let graph = with_long_polls(script, 20);
    let table = text(|out| write(&graph, &facts, 20, out));
    assert!(table.contains("  off the CPU in asyncscope's own trap for 9ns of that\n"), "{table}");
    assert!(!table.contains("svc::naps"), "{table}");
    let json = text(|out| super::super::json::write(&graph, &facts, &super::super::lost::Lost::default(), out));
    assert!(json.contains(r#""off_cpu_ns":17,"trap_ns":9,"off_cpu_in":null,"stack":null"#), "{json}");
}

#[test]
fn nothing_long_is_said_to_be_none() {
    let table = text(|out| write(&with_long_polls(SCRIPT, 1000), &facts("f"), 1000, out));
    assert_eq!(table, "no poll took 1.00µs or longer\n");
}
