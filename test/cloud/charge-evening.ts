/**
 * One sale played against a little Omise that knows everything: words get lost, answers come late or never, the gateway
 * restarts or is restored from a backup, money goes back at the desk, the customer pays when it suits nobody.
 * Says which promises were broken, and what is in the books at the end.
 */
import { deadline, type Effect, type Event, initial, restore, type State, step, type Step, type Word } from '../../cloud/charge.js'
import { chain, EMPTY, type Entry, type Posted } from '../../cloud/ledger.js'
import { askedAfter, closeAsked, goodsInDoubt, LOOK_FIRST_MS, moment, opened, START, swept, terms } from './charge-story.js'
import { littleOmise, unanswered } from './little-omise.js'

/** As often as they stand here. */
export const MOVES = [
  'open', 'ask', 'close', 'hello', 'terminal forgets', 'goods in doubt',
  ...Array<'command arrives'>(10).fill('command arrives'), ...Array<'answer arrives'>(10).fill('answer arrives'),
  'answer is lost', 'answer is lost', 'command arrives too late', 'command is lost', 'customer pays', 'customer pays', 'wallet refuses', 'Omise expires',
  'wallet pays late', 'an orphan is paid', 'a part goes back at the desk', 'all goes back at the desk', 'Omise refuses a refund',
  'webhook', 'webhook', 'sweeper', 'sweeper', 'lists catch up', 'deadline', 'deadline', 'deadline', 'time goes by', 'restart',
  'restored from a backup',
] as const
export type Move = (typeof MOVES)[number]

export interface Evening {
  readonly broken: readonly string[]
  readonly story: readonly string[]
  /** The ledger as it was chained, and what Omise says should be in it. */
  readonly ledger: readonly Posted[]
  readonly truth: { readonly receivableMinor: number; readonly feesMinor: number; readonly lateMinor: number; readonly refundsMinor: number }
}

const sum = (of: readonly number[]): number => of.reduce((total, minor) => total + minor, 0)

/** Rounds of the kind world that follows the script: enough of them, and every sale has ended. */
const KIND_MOVES_MAX = 600
const SWEEPS = 4

export function evening(script: readonly Move[], chance: Iterator<number>): Evening {
  const broken: string[] = []
  const story: string[] = []
  const omise = littleOmise(() => now)
  /** On their way to Omise. Of one that nobody awaits any more the gateway hears nothing. */
  const commands: { readonly command: Effect; readonly awaited: boolean }[] = []
  const answers: { readonly command: Effect; readonly event: Event | undefined }[] = []
  const words: Word[] = []
  const readAsPaid = new Set<string>()
  const paidLate = new Set<string>()
  /** What a backup holds. */
  let books: { readonly state: State; readonly ledger: readonly Posted[]; readonly concerns: readonly string[] } =
    { state: initial, ledger: [], concerns: [] }
  const backups = [books]
  /** The terminal shows the first code it is offered, and believes the first verdict about that code or in answer to its close. */
  let showing: string | null = null
  let believed: Extract<Word, { type: 'sale.verdict' }> | undefined
  /** The terminal says that goods of its paid sale are in doubt, until it is answered. */
  let doubted = false
  let noted = false
  let restored = false
  /** A charge was paid that nobody had seen; what a gateway without records makes of it is a matter of luck. */
  let miracle = false
  let startedAt = -Infinity
  let now = START
  let requests = 0

  const given = () => ({ now, terms, lookFirst: now < startedAt + LOOK_FIRST_MS })
  const rule = (kept: boolean, text: string): void => { if (!kept) broken.push(text) }
  const pick = <T>(from: T[]): T | undefined => {
    const random: unknown = chance.next().value
    return from.splice(typeof random === 'number' ? random % Math.max(from.length, 1) : 0, 1)[0]
  }
  const offeredCharges = (): Set<string> => new Set(words.flatMap((word) => (word.type === 'sale.offer' ? [word.charge] : [])))

  // -- The gateway: step, commit, act -------------------------------------------------------------------------------

  function take(name: string, next: Step): void {
    const { state, effects, entries, concerns } = next
    story.push(`${now - START}  ${name}  ${books.state.phase} -> ${state.phase}  ${effects.map((effect) => effect.do).join(', ')}  ${next.words.map(({ type }) => type).join(', ')}`)
    books = { state, ledger: entries.reduce(post, books.ledger), concerns: [...books.concerns, ...concerns.map(({ charge }) => charge ?? '')] }
    backups.push(books)
    commands.push(...effects.map((command) => ({ command, awaited: true })))
    for (const word of next.words) said(word)
    if (state.phase === 'paid') rule(readAsPaid.has(state.charge), 'paid without having read so')
  }

  /** As the store does: a key is posted once. */
  function post(ledger: readonly Posted[], entry: Entry): readonly Posted[] {
    const known = ledger.find(({ key }) => key === entry.key)
    if (known === undefined) return [...ledger, chain(ledger.at(-1) ?? EMPTY, entry, 'T-1', now)]
    rule(JSON.stringify(known.lines) === JSON.stringify(entry.lines), `posted twice, and differently: ${entry.key}`)
    return ledger
  }

  function said(word: Word): void {
    words.push(word)
    switch (word.type) {
      case 'sale.offer':
        rule(word.payload === `https://qr.example/${word.charge}`, 'the code is of another charge')
        rule(restored || offeredCharges().size === 1, 'two charges were offered')
        rule(books.state.phase === 'bound' && books.state.closing === undefined, 'a code was offered of a sale that ends')
        rule(word.re?.startsWith('undelivered') !== true, 'a report that goods are in doubt was answered with a code')
        if (believed === undefined) showing ??= word.charge
        return
      case 'sale.verdict':
        return judged(word)
      case 'sale.reversed':
        rule(omise.seen(word.charge).refundedMinor === word.amountMinor, 'said that money went back, and it had not')
    }
  }

  function judged(word: Extract<Word, { type: 'sale.verdict' }>): void {
    const { ending, charge, re } = word
    noted ||= re?.startsWith('undelivered') === true
    const earlier = words.filter((other) => other.type === 'sale.verdict')
    rule(restored || new Set(earlier.map((it) => JSON.stringify(it.ending))).size === 1, 'the ending changed')
    if (ending.outcome === 'paid') rule(charge !== null && omise.seen(charge).paid, 'said paid, and nobody had paid')
    else if (!restored && earlier.length === 1) {
      for (const id of offeredCharges()) {
        const { status, paid, refundedMinor } = omise.seen(id)
        rule(status !== 'pending', 'said unpaid while the code could be paid')
        rule(!paid || paidLate.has(id) || refundedMinor > 0, 'said unpaid, and it was paid')
      }
    }
    if (believed !== undefined || (showing !== null && charge !== showing && re?.startsWith('close') !== true)) return
    believed = word
    if (ending.outcome === 'unpaid' && charge === showing && showing !== null) {
      rule(omise.seen(showing).status !== 'pending', 'the terminal says unpaid of a code that can be paid')
    }
  }

  function happens(event: Event): void {
    const seen = 'charges' in event ? event.charges : 'charge' in event && typeof event.charge !== 'string' ? [event.charge] : []
    for (const { id, status, paid } of seen) if (status === 'successful' && paid) readAsPaid.add(id)
    const next = step(books.state, event, given())
    for (const effect of next.effects) {
      if (effect.do !== 'refund charge') continue
      const left = event.type === 'refunds listed' && omise.seen(effect.charge).amountMinor - sum(event.refunds.map(({ amountMinor }) => amountMinor))
      rule(left === effect.amountMinor, 'a refund was sent of something else than a list had left')
    }
    take(event.type, next)
  }

  function ring(): void {
    const due = deadline(books.state)
    if (due === undefined) return
    now = Math.max(now, due)
    happens({ type: 'deadline reached' })
    const next = deadline(books.state)
    rule(next === undefined || next > now, 'the deadline rings without a pause')
  }

  /** What was under way reaches Omise or does not; no answer reaches us. */
  function restart(): void {
    commands.splice(0, Infinity, ...commands.map(({ command }) => ({ command, awaited: false })))
    answers.length = 0
    startedAt = now
    take('restarted', restore(books.state, given()))
  }

  // -- The world ----------------------------------------------------------------------------------------------------

  /** Only a code that was offered can be paid; and an orphan, by whatever miracle. */
  const one = (fits: (id: string) => boolean): string | undefined => pick([...omise.made.keys()].filter(fits))
  const isShown = (id: string): boolean => offeredCharges().has(id)
  const is = (status: string) => (id: string): boolean => omise.seen(id).status === status

  function move(what: Move): void {
    switch (what) {
      case 'open':  return happens(opened(`open-${++requests}`))
      case 'ask':   return happens(askedAfter(`ask-${++requests}`, showing))
      case 'close': return happens(closeAsked(`close-${++requests}`, showing))
      case 'goods in doubt':
        if (believed?.ending.outcome !== 'paid' || believed.charge === null) return
        doubted = true
        return happens(goodsInDoubt(believed.charge, `undelivered-${++requests}`))
      case 'hello': return books.state.phase === 'none' ? undefined : happens(askedAfter(null))
      case 'terminal forgets':
        showing = null
        return happens({ type: 'terminal forgot' })
      case 'command arrives': {
        const next = pick(commands)
        if (next === undefined) return
        const event = omise.obey(next.command)
        if (next.awaited) answers.push({ command: next.command, event })
        return
      }
      case 'command arrives too late': {
        const late = pick(commands)
        if (late === undefined) return
        commands.push({ ...late, awaited: false })
        const event = late.awaited ? unanswered(late.command) : undefined
        return event && happens(event)
      }
      case 'command is lost': {
        const lost = pick(commands)
        const event = lost?.awaited === true ? unanswered(lost.command) : undefined
        return event && happens(event)
      }
      case 'answer arrives': {
        const answer = pick(answers)
        return answer?.event && happens(answer.event)
      }
      case 'answer is lost': {
        const answer = pick(answers)
        const event = answer && unanswered(answer.command)
        return event && happens(event)
      }
      case 'customer pays': {
        const id = one((it) => isShown(it) && is('pending')(it))
        return id === undefined ? undefined : omise.pay(id, moment(now - START))
      }
      case 'an orphan is paid': {
        const id = one((it) => !isShown(it) && is('pending')(it))
        if (id === undefined) return
        miracle = true
        return omise.pay(id, moment(now - START))
      }
      case 'wallet refuses': {
        const id = one((it) => isShown(it) && is('pending')(it))
        return id === undefined ? undefined : omise.fail(id, 'payment_rejected')
      }
      case 'wallet pays late': {
        const id = one((it) => isShown(it) && is('expired')(it))
        if (id === undefined) return
        paidLate.add(id)
        return omise.pay(id, moment(now - START))
      }
      case 'a part goes back at the desk': {
        const id = one(is('successful'))
        return id === undefined ? undefined : omise.refundAtTheDesk(id, 1_000)
      }
      case 'all goes back at the desk': {
        const id = one(is('successful'))
        return id === undefined ? undefined : omise.refundAtTheDesk(id, omise.seen(id).amountMinor - omise.seen(id).refundedMinor)
      }
      case 'Omise refuses a refund': return omise.refuseOneRefund()
      case 'Omise expires':
        for (const id of omise.made.keys()) if (is('pending')(id)) omise.expire(id)
        return
      case 'webhook': {
        const id = one(() => true)
        if (id === undefined) return
        const isBound = 'charge' in books.state && books.state.charge === id
        return happens(isBound ? { type: 'hint received' } : swept(omise.seen(id)))
      }
      case 'sweeper':
        for (const seen of omise.listed()) happens(swept(seen))
        return
      case 'lists catch up': return omise.catchUp()
      case 'deadline':       return ring()
      case 'time goes by':   now += 1_000; return
      case 'restart':        return restart()
      case 'restored from a backup': {
        // That takes longer than any command is on its way. A sale that was told is older than any list is behind.
        for (const { command } of commands.splice(0)) omise.obey(command)
        if (believed !== undefined) omise.catchUp()
        restored = true
        books = pick([...backups]) ?? books
        return restart()
      }
    }
  }

  for (const what of script) move(what)

  // -- The world is kind again: everything arrives, deadlines ring, the sweeper comes, the terminal asks until it knows. --

  function settle(): void {
    for (let moves = 0; moves < KIND_MOVES_MAX && (commands.length + answers.length > 0 || deadline(books.state) !== undefined); moves++) {
      move('lists catch up')
      if (commands.length > 0) move('command arrives')
      else if (answers.length > 0) move('answer arrives')
      else ring()
    }
  }

  settle()
  for (let sweeps = 0; sweeps < SWEEPS; sweeps++) {
    if (believed === undefined && requests > 0) move('close')
    if (doubted && !noted) move('goods in doubt')
    move('lists catch up')
    move('sweeper')
    settle()
  }
  const { state, ledger, concerns } = books
  rule(deadline(state) === undefined, `the sale never ended: ${state.phase}`)
  rule(requests === 0 || believed !== undefined, 'the terminal was left in doubt')
  rule(!doubted || noted, 'nobody answered that goods are in doubt')
  rule(!noted || restored || concerns.includes(believed?.charge ?? ''), 'goods are in doubt, and nobody looks at it')
  rule(ledger.filter(({ key }) => key.startsWith('sale paid ')).length <= 1, 'two payments are posted as the sale')
  const paid = [...omise.made.values()].filter(({ seen }) => seen.paid)
  const isSale = (id: string): boolean => ledger.some(({ key }) => key === `sale paid ${id}`)
  const refundedByUs = (id: string | null): boolean => omise.made.get(id ?? '')?.refunds.some(({ by }) => by === 'gateway') === true
  const isGone = believed?.ending.outcome === 'paid' && state.phase !== 'paid' && refundedByUs(believed.charge)
  rule(!isGone || (restored && miracle), 'the goods are gone, and the money went back')
  for (const { seen: { id, status, amountMinor, refundedMinor } } of omise.made.values()) {
    rule(status !== 'pending', `${id} can still be paid`)
    rule(refundedMinor <= amountMinor, `more went back of ${id} than had come`)
  }
  for (const { seen: { id, amountMinor, refundedMinor } } of paid) {
    if (isSale(id)) {
      rule(state.phase === 'paid' && state.charge === id, `${id} is posted as the sale, and was not said to be`)
      rule(!refundedByUs(id), `${id} paid for the sale, and went back`)
    } else rule(refundedMinor === amountMinor || concerns.includes(id), `the money of ${id} was kept silently`)
  }
  const back = (sale: boolean): number => sum(paid.filter(({ seen }) => isSale(seen.id) === sale).map(({ seen }) => seen.refundedMinor))
  return {
    broken, story, ledger,
    truth: {
      receivableMinor: sum(paid.map(({ seen }) => seen.amountMinor - seen.feeMinor - seen.feeVatMinor - seen.refundedMinor)),
      feesMinor: sum(paid.map(({ seen }) => seen.feeMinor + seen.feeVatMinor)),
      lateMinor: back(false) - sum(paid.filter(({ seen }) => !isSale(seen.id)).map(({ seen }) => seen.amountMinor)),
      refundsMinor: back(true),
    },
  }
}
