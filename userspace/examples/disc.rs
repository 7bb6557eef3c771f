fn main() {
    for f in std::env::args().skip(1) {
        let d = std::fs::read(&f).unwrap();
        let t = std::time::Instant::now();
        let elf = match asyncscope::target::elf::Elf::parse(&d) { Ok(e) => e, Err(e) => { println!("{f} {e}"); continue } };
        let t1 = t.elapsed();
        match asyncscope::target::discover(&elf) {
            Err(e) => println!("{f} {e}"),
            Ok(p) => {
                println!("{f}: functions {} vtables {} tokio {:?} parse {t1:?} all {:?}", elf.functions().len(), p.vtables.len(), p.tokio, t.elapsed());
                for (v, t) in p.vtables.iter().zip(&p.types) { println!("  {:x} id {:#x} {:?} {} {:?} rt={}", v.address.0, v.id_offset, t.kind, t.name, t.folded, t.runtime) }
                let mut n = std::collections::BTreeMap::new();
                for h in &p.hooks { *n.entry((h.sees.clone(), h.emulated, h.how.clone())).or_insert(0) += 1; }
                for (k, v) in n { println!("  {v:4} {k:?}") }
                if std::env::var("V").is_ok() { for h in &p.hooks { println!("{:x?} {} {} {}", h.address, h.sees, h.instruction, h.how) } }
                println!("  drivers {:x?} poll_code {}", p.drivers, p.poll_code.len());
            }
        }
    }
}
