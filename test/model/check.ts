/**
 * The exhaustive model check: every reachable state of one sale, in a world where everything breaks.
 *
 *   node dist/test/model/check.js [crashes backup api ...] [--crashes N] [--charges N] [--at-least N] [--first] ...
 *
 * Ends with 1 when an invariant is broken, when a state cannot settle, or when fewer states than `--at-least` were there
 * to be visited: a check of nothing proves nothing. Each fault is a line that begins with VIOLATION and its invariant.
 */
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { explore, type Report } from './explore.js'
import { modelOf, type Sized, type SizeName, SIZES } from './sizes.js'
import type { Size } from './world.js'

const whole = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('not a whole number')
  return Number(text)
}

const yesOrNo = (text: string): boolean => {
  if (text !== 'yes' && text !== 'no') throw new InvalidArgumentError('yes or no')
  return text === 'yes'
}

interface Options extends Partial<Omit<Size, 'chargesMax'>> {
  readonly charges?: number
  readonly atLeast: number
  readonly atMost?: number
  readonly first?: true
}

new Command('check')
  .description('Visits every state of one sale, and says which invariant does not hold.')
  .addArgument(new Argument('[sizes...]', 'what to explore, one after the other').choices(Object.keys(SIZES)).default(['crashes', 'backup', 'api']))
  .option('--crashes <n>', 'power cuts and restarts together', whole)
  .option('--charges <n>', 'charges that carry the sale, at most', whole)
  .addOption(new Option('--amnesia <backup>', 'the gateway is restored once from a backup: older than the sale, or any').choices(['no', 'old', 'any']))
  .option('--unseen-paid <yes|no>', 'charges may be paid whose code nobody saw', yesOrNo)
  .option('--late-wallet <yes|no>', 'charges may be paid after they expired', yesOrNo)
  .option('--desk <yes|no>', 'somebody refunds by hand', yesOrNo)
  .option('--list-lags <yes|no>', 'the list of charges may lack the newest', yesOrNo)
  .option('--odd-charges <yes|no>', 'Omise may make a charge of another amount, or in the other mode', yesOrNo)
  .option('--overlapping <yes|no>', 'a call may be under way several times', yesOrNo)
  .option('--reasons <yes|no>', 'the reasons of endings are told apart', yesOrNo)
  .option('--at-least <n>', 'fail when fewer states are reached, all sizes together', whole, 1_000)
  .option('--at-most <n>', 'end a size after so many states', whole)
  .option('--first', 'end at the first broken invariant')
  .action((names: readonly SizeName[], options: Options) => { process.exitCode = run(names, options) })
  .parse()

function run(names: readonly SizeName[], { charges, atLeast, atMost, first, ...changed }: Options): 0 | 1 {
  let states = 0
  let good = true
  for (const name of names) {
    const size: Size = { ...SIZES[name], ...changed, ...(charges === undefined ? {} : { chargesMax: charges }) }
    const report = check(name, size, { first: first === true, atMost: atMost ?? Infinity })
    states += report.states
    good &&= report.findings.length === 0 && !report.cut
    if (!good && first === true) break
  }
  console.log(`\n${states} states together`)
  const few = states < atLeast
  if (few) console.log(`VIOLATION too few states: ${states}, not ${atLeast}`)
  return good && !few ? 0 : 1
}

function check(name: string, size: Size, { first, atMost }: { readonly first: boolean; readonly atMost: number }): Report {
  const began = performance.now()
  const sized = modelOf(size)
  const report = explore(sized.model, {
    statesMax: atMost, firstOnly: first,
    progress: (states, waiting) => process.stderr.write(`\r${name}: ${states} states, ${waiting} waiting   `),
  })
  process.stderr.write('\n')
  print(name, size, sized, report, (performance.now() - began) / 1000)
  return report
}

function print(name: string, size: Size, { parts }: Sized, report: Report, seconds: number): void {
  const { states, moves, settled, bad, stuck, deepest, findings, cut } = report
  console.log(`\n${name}: ${Object.entries(size).map(([knob, value]) => `${knob} ${value}`).join(', ')}`)
  console.log(`  states   ${states} (${settled} settled), ${moves} moves${cut ? ', ENDED EARLY' : ''}`)
  console.log(`  parts    ${Object.entries(parts()).map(([part, count]) => `${count} ${part}`).join(', ')}`)
  console.log(`  time     ${seconds.toFixed(1)} s, ${Math.round(states / seconds)} states/s, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`)
  console.log(`  bad      ${bad}`)
  console.log(`  stuck    ${cut ? 'not known' : stuck}`)
  console.log(`  deepest  ${deepest.length} moves`)
  for (const { what, trace } of findings) {
    console.log(`\nVIOLATION ${what}`)
    trace.forEach((move, at) => console.log(`${String(at + 1).padStart(4)}  ${move}`))
  }
}
