// A terminal's journal in a process of its own, to be killed: records in a loop and prints each number it was promised.
// Arguments: the compiled journal.js, the journal's file.
const [, , module, file] = process.argv
const { openJournal } = await import(module)
const journal = openJournal(file, Date.now())
const last = journal.last()
for (let count = last.phase === 'idle' ? 1 : last.offer.counter + 1; ; count++) {
  journal.record({ phase: 'presenting', sale: {}, offer: { charge: `chrg_${count}`, payload: 'x'.repeat(200), counter: count } }, count)
  process.stdout.write(`${count}\n`)
}
