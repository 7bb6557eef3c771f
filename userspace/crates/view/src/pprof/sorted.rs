//! The order of a profile: of its strings, functions, locations and samples, each with new numbers.

use super::messages::Profile;

/// Sorts all tables, and the samples by their stacks, outermost frame first.
pub(super) fn sort(profile: &mut Profile) {
    sort_strings(profile);
    profile.function.sort_by_key(|function| (function.name, function.filename, function.start_line));
    let functions = renumbered(profile.function.iter_mut().map(|function| &mut function.id));
    for line in profile.location.iter_mut().flat_map(|location| &mut location.line) {
        line.function_id = functions[line.function_id as usize];
    }
    profile.location.sort_by_key(|location| {
        let line = location.line.first().map(|line| (line.function_id, line.line));
        (line, location.mapping_id)
    });
    let locations = renumbered(profile.location.iter_mut().map(|location| &mut location.id));
    for id in profile.sample.iter_mut().flat_map(|sample| &mut sample.location_id) {
        *id = locations[*id as usize];
    }
    profile.sample.sort_by_cached_key(|sample| {
        let stack = sample.location_id.iter().rev().copied().collect::<Vec<_>>();
        let labels = sample.label.iter().map(|label| (label.key, label.text, label.number)).collect::<Vec<_>>();
        (stack, labels, sample.value.clone())
    });
}

/// Sorts the strings; the empty one, which comes first as profile.proto wants it, does so in any order.
fn sort_strings(profile: &mut Profile) {
    let mut order: Vec<usize> = (0..profile.string_table.len()).collect();
    order.sort_by(|&a, &b| profile.string_table[a].cmp(&profile.string_table[b]));
    let mut places = vec![0; order.len()];
    for (place, &before) in order.iter().enumerate() {
        places[before] = place as i64;
    }
    profile.string_table.sort();
    let labels = profile.sample.iter_mut().flat_map(|sample| &mut sample.label);
    let of_labels = labels.flat_map(|label| [&mut label.key, &mut label.text]);
    let of_functions = profile.function.iter_mut().flat_map(|function| [&mut function.name, &mut function.filename]);
    let of_mappings = profile.mapping.iter_mut().flat_map(|mapping| [&mut mapping.filename, &mut mapping.build_id]);
    let types = profile.sample_type.iter_mut().chain(&mut profile.period_type);
    let of_types = types.flat_map(|value| [&mut value.kind, &mut value.unit]);
    let all = of_labels.chain(of_functions).chain(of_mappings).chain(of_types).chain(&mut profile.comment);
    all.for_each(|string| *string = places[*string as usize]);
}

/// Numbers them from 1 on, and returns the new number for each old one.
fn renumbered<'a>(ids: impl Iterator<Item = &'a mut u64>) -> Vec<u64> {
    let mut numbers = vec![0];
    for (id, new) in ids.zip(1..) {
        let before = *id as usize;
        if numbers.len() <= before {
            numbers.resize(before + 1, 0);
        }
        numbers[before] = new;
        *id = new;
    }
    numbers
}
