/**
 * One sale played against a little Omise that knows everything: words get lost, answers come late, the gateway restarts,
 * the customer pays when it suits nobody. Says which promises were broken.
 */
import { type ChargeSeen, deadline, type Effect, type Event, initial, restore, type State, step, type Step, type Word } from '../../cloud/charge.js'
import { askedAfter, charge, closeAsked, moment, opened, START, terms } from './charge-story.js'

/** As often as they stand here. */
export const MOVES = [
  'open', 'ask', 'close', 'hello',
  ...Array<'command arrives'>(10).fill('command arrives'), ...Array<'answer arrives'>(10).fill('answer arrives'), 'answer is lost', 'answer is lost',
  'customer pays', 'customer pays', 'wallet refuses', 'Omise expires', 'wallet pays late', 'webhook', 'webhook', 'list catches up',
  'deadline', 'deadline', 'deadline', 'time goes by', 'restart',
] as const
export type Move = (typeof MOVES)[number]

interface Made {
  seen: ChargeSeen
  listed: boolean
}

/** Moves of the kind world that follows the script: enough of them, and every sale has ended. */
const KIND_MOVES_MAX = 400

export function evening(script: readonly Move[], chance: Iterator<number>): { readonly broken: readonly string[]; readonly story: readonly string[] } {
  const broken: string[] = []
  const story: string[] = []
  const made = new Map<string, Made>()
  const commands: Effect[] = []
  /** What Omise answered, on its way; and what the gateway believes when it gets lost. */
  const answers: { readonly event: Event | undefined; readonly lost: Event | undefined }[] = []
  const words: Word[] = []
  const postings: string[] = []
  const readAsPaid = new Set<string>()
  const paidLate = new Set<string>()
  let now = START
  let state: State = initial
  let requests = 0

  const rule = (kept: boolean, text: string): void => { if (!kept) broken.push(text) }
  const pick = <T>(from: T[]): T | undefined => {
    const random: unknown = chance.next().value
    return from.splice(typeof random === 'number' ? random % Math.max(from.length, 1) : 0, 1)[0]
  }
  const offeredCharges = (): Set<string> => new Set(words.flatMap((word) => (word.type === 'sale.offer' ? [word.charge] : [])))
  const verdicts = (): readonly Extract<Word, { type: 'sale.verdict' }>[] => words.filter((word) => word.type === 'sale.verdict')

  function take(name: string, next: Step): void {
    story.push(`${now - START}  ${name}  ${state.phase} -> ${next.state.phase}  ${next.effects.map((effect) => effect.do).join(', ')}  ${next.words.map(({ type }) => type).join(', ')}`)
    state = next.state
    commands.push(...next.effects)
    for (const word of next.words) said(word)
    for (const { key, lines } of next.entries) {
      rule(!postings.includes(key), `posted twice: ${key}`)
      rule(lines.reduce((sum, { minor }) => sum + minor, 0) === 0, `does not sum to zero: ${key}`)
      postings.push(key)
    }
    if (state.phase === 'paid') rule(readAsPaid.has(state.charge), 'paid without having read so')
  }

  function said(word: Word): void {
    words.push(word)
    if (word.type === 'sale.offer') {
      rule(word.payload === `https://qr.example/${word.charge}`, 'the code is of another charge')
      rule(offeredCharges().size === 1, 'two charges were offered')
      rule(state.phase === 'bound' && state.closing === undefined, 'a code was offered of a sale that ends')
      return
    }
    rule(new Set(verdicts().map(({ ending }) => JSON.stringify(ending))).size === 1, 'the ending changed')
    const isPaid = [...made.values()].some(({ seen }) => seen.paid)
    if (word.ending.outcome === 'paid') rule(isPaid, 'said paid, and nobody had paid')
    else if (verdicts().length === 1) {
      for (const id of offeredCharges()) {
        rule(made.get(id)?.seen.status !== 'pending', 'said unpaid while the code could be paid')
        rule(made.get(id)?.seen.paid === false || paidLate.has(id), 'said unpaid, and it was paid')
      }
    }
  }

  function happens(event: Event): void {
    const seen = 'charge' in event ? [event.charge] : 'charges' in event ? event.charges : []
    for (const { id, status, paid } of seen) if (status === 'successful' && paid) readAsPaid.add(id)
    take(event.type, step(state, event, { now, terms }))
  }

  /** What Omise does when a command reaches it. */
  function omise(command: Effect): { readonly event: Event | undefined; readonly lost: Event | undefined } {
    switch (command.do) {
      case 'create charge': {
        const id = `c${made.size + 1}`
        made.set(id, { seen: charge(id, { expiresAt: new Date(command.expiresAt).toISOString() }), listed: false })
        return { event: { type: 'charge created', charge: seenOf(id) }, lost: { type: 'create unanswered' } }
      }
      case 'find charges':
        return {
          event: { type: 'charges found', charges: [...made.values()].filter(({ listed }) => listed).map(({ seen }) => seen) },
          lost: { type: 'find unanswered' },
        }
      case 'read code':
        return { event: { type: 'code read', payload: `https://qr.example/${command.charge}` }, lost: { type: 'code unanswered' } }
      case 'read charge':
        return { event: { type: 'charge read', charge: seenOf(command.charge) }, lost: { type: 'charge unanswered' } }
      case 'expire charge':
      case 'expire orphan': {
        const isPending = seenOf(command.charge).status === 'pending'
        if (isPending) change(command.charge, { status: 'expired' })
        if (command.do === 'expire orphan') return { event: undefined, lost: undefined }
        return { event: isPending ? { type: 'charge read', charge: seenOf(command.charge) } : { type: 'expire refused' }, lost: { type: 'charge unanswered' } }
      }
    }
  }

  function seenOf(id: string): ChargeSeen {
    const found = made.get(id)
    if (found === undefined) throw new Error(`the gateway invented a charge: ${id}`)
    return found.seen
  }

  function change(id: string, changed: Partial<ChargeSeen>): void {
    const found = made.get(id)
    if (found !== undefined) found.seen = { ...found.seen, ...changed }
  }

  /** Only a code that was offered can be paid. */
  const payable = (status: string): string | undefined => [...offeredCharges()].find((id) => made.get(id)?.seen.status === status)
  const pay = (id: string): void => change(id, { status: 'successful', paid: true, paidAt: moment(now - START) })

  function ring(): void {
    const due = deadline(state)
    if (due === undefined) return
    now = Math.max(now, due)
    happens({ type: 'deadline reached' })
    const next = deadline(state)
    rule(next === undefined || next > now, 'the deadline rings without a pause')
  }

  function move(what: Move): void {
    switch (what) {
      case 'open':  return happens(opened(`open-${++requests}`))
      case 'ask':   return happens(askedAfter(`ask-${++requests}`))
      case 'close': return happens(closeAsked(`close-${++requests}`))
      case 'hello': return state.phase === 'none' ? undefined : happens(askedAfter(null))
      case 'command arrives': {
        const command = pick(commands)
        if (command !== undefined) answers.push(omise(command))
        return
      }
      case 'answer arrives': {
        const answer = pick(answers)
        if (answer?.event !== undefined) happens(answer.event)
        return
      }
      case 'answer is lost': {
        const answer = pick(answers)
        if (answer?.lost !== undefined) happens(answer.lost)
        return
      }
      case 'customer pays': {
        const id = payable('pending')
        if (id !== undefined) pay(id)
        return
      }
      case 'wallet refuses': {
        const id = payable('pending')
        if (id !== undefined) change(id, { status: 'failed', failureCode: 'payment_rejected' })
        return
      }
      case 'wallet pays late': {
        const id = payable('expired')
        if (id === undefined) return
        pay(id)
        paidLate.add(id)
        return
      }
      case 'Omise expires':
        for (const [id, { seen }] of made) if (seen.status === 'pending') change(id, { status: 'expired' })
        return
      case 'webhook':         return happens({ type: 'hint received' })
      case 'list catches up': return [...made.values()].forEach((it) => { it.listed = true })
      case 'deadline':        return ring()
      case 'time goes by':    now += 1_000; return
      case 'restart':
        // What was under way may still reach Omise; no answer reaches us.
        answers.length = 0
        return take('restarted', restore(state, { now, terms }))
    }
  }

  for (const what of script) move(what)

  // The world is kind again: lists are complete, commands and answers arrive, deadlines ring, and a webhook comes.
  for (let moves = 0; moves < KIND_MOVES_MAX && (commands.length > 0 || answers.length > 0 || deadline(state) !== undefined); moves++) {
    move('list catches up')
    if (commands.length > 0) move('command arrives')
    else if (answers.length > 0) move('answer arrives')
    else ring()
  }
  move('webhook')
  for (let moves = 0; moves < 10; moves++) { move('command arrives'); move('answer arrives') }
  rule(deadline(state) === undefined, `the sale never ended: ${state.phase}`)
  rule(payable('pending') === undefined, 'a code that was shown can still be paid')
  for (const [id, { seen }] of made) {
    if (seen.paid) rule(postings.some((key) => key.endsWith(` ${id}`)), `the money of ${id} was kept silently`)
  }
  return { broken, story }
}
