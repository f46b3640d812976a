/**
 * What may happen next in a world: at the terminal, on the wire, at the gateway, at Omise, and to the customer. Good and
 * bad luck may come; what comes by itself is a deadline with everything working, a register that hears the outcome, and the
 * sweeper's look. Only on the latter may a way to the end be built.
 */
import type { ChargeSeen, Event } from '../../cloud/charge.js'
import { Draft, type Kit } from './draft.js'
import type { Move } from './explore.js'
import { GATEWAY_EVENTS, type Request, type SaleStep, TERMINAL_EVENTS, type Word } from './machines.js'
import { type Charge, DESK_MINOR, isPending, leftMinor, refundsOf, seen, statusOf, tookMoney } from './omise.js'
import { NO_RECORDS, type World } from './world.js'

type Play = (draft: Draft) => void

/** One kind of place where things happen: the world, and ways to make a move of what happens in it. */
interface Scene {
  readonly world: World
  readonly kit: Kit
  readonly crashLeft: boolean
  /** It may happen; what it sets going is under way. */
  readonly may: (name: string, play: Play) => Move<World>
  /** It happens, sooner or later, with everything working; and it may happen with nothing working. */
  readonly will: (name: string, play: Play) => readonly Move<World>[]
}

export function* moves(world: World, kit: Kit): Generator<Move<World>> {
  const make = (name: string, play: Play, sure: boolean): Move<World> => {
    const draft = new Draft(world, kit, sure)
    try {
      play(draft)
      if (draft.world !== world) draft.forget()
    } catch (error) {
      return { name, to: world, sure: false, wrong: `P2: a machine throws: ${error instanceof Error ? error.message : String(error)}` }
    }
    return { name, to: draft.world, sure, wrong: draft.wrong }
  }
  const scene: Scene = {
    world, kit, crashLeft: world.past.crashes < kit.size.crashes,
    may: (name, play) => make(name, play, false),
    will: (name, play) => [make(name, play, false), make(`${name}, and all works`, play, true)],
  }
  yield* atTerminal(scene)
  yield* toTerminal(scene)
  yield* toGateway(scene)
  yield* atGateway(scene)
  yield* createsAnswered(scene)
  yield* readsAnswered(scene)
  yield* findAnswered(scene)
  yield* refundsAnswered(scene)
  yield* atOmise(scene)
  yield* toCharges(scene)
}

// -- The terminal -----------------------------------------------------------------------------------------------------

function* atTerminal(scene: Scene): Generator<Move<World>> {
  const { world: { terminal, requests }, kit: { machines }, may, will, crashLeft } = scene
  switch (terminal.power) {
    case 'over':
      return
    case 'off':
      yield may('the terminal starts again', (draft) => draft.terminalTakes(machines.terminalRestarts(terminal.journal)))
      yield may('the terminal starts again with an empty disk', (draft) => draft.change({ terminal: { power: 'over' } }))
      return
    case 'on': {
      const { state } = terminal
      if (state.phase === 'idle') {
        if (requests.length === 0) yield* step(scene, 'an amount is asked', machines.terminalTakes(state, TERMINAL_EVENTS.asked))
        return
      }
      for (const [name, due] of machines.saleDeadlines(state)) {
        yield* will(`terminal: ${name} is reached`, (draft) => draft.terminalTakes(due))
        if (crashLeft) yield cut(scene, `terminal: ${name} is reached`, due)
      }
      yield* step(scene, 'Cancel is pressed', machines.terminalTakes(state, TERMINAL_EVENTS.cancelled))
      yield* step(scene, 'the link comes back', machines.terminalTakes(state, TERMINAL_EVENTS.linked))
      yield* step(scene, 'the code does not read back', machines.terminalTakes(state, TERMINAL_EVENTS.notShown))
      if (state.phase === 'settled' && !state.told) {
        yield* will('the register has heard the outcome', (draft) => draft.terminalTakes(machines.terminalTakes(state, TERMINAL_EVENTS.told)))
      }
      if (crashLeft) {
        yield may('the power goes', (draft) => {
          draft.crash()
          draft.change({ terminal: machines.withoutPower(state) })
        })
      }
      yield may('the terminal dies for good', (draft) => draft.change({ terminal: { power: 'over' } }))
    }
  }
}

function* step(scene: Scene, name: string, taken: SaleStep): Generator<Move<World>> {
  if (!taken.changes) return
  yield scene.may(name, (draft) => draft.terminalTakes(taken))
  if (scene.crashLeft) yield cut(scene, name, taken)
}

/** The record is on the disk, and nothing of the step has left. */
function cut({ may }: Scene, name: string, taken: SaleStep): Move<World> {
  return may(`${name}, and the power goes`, (draft) => {
    draft.crash()
    draft.terminalTakes(taken, true)
  })
}

// -- The wire ---------------------------------------------------------------------------------------------------------

function* toTerminal({ world: { terminal, words }, crashLeft, may }: Scene): Generator<Move<World>> {
  if (terminal.power !== 'on') return
  for (const word of words) {
    const name = `the terminal hears ${nameOf(word)}`
    yield may(name, (draft) => draft.terminalHears(word))
    if (word.type === 'offer') yield may(`${name} when its time is over`, (draft) => draft.terminalHears(word, true))
    if (crashLeft) {
      yield may(`${name}, and the power goes`, (draft) => {
        draft.crash()
        draft.terminalHears(word, false, true)
      })
    }
  }
}

function* toGateway({ world, kit: { machines, one }, may }: Scene): Generator<Move<World>> {
  const { gateway, terminal, requests, past, omise } = world
  if (requests.length === 0) return
  const asks = omise.filter(({ shown }) => shown).map(({ id }) => one<Request>({ type: 'ask', charge: id }))
  const codeEnded = machines.codeEnded(gateway)
  for (const request of [...requests, ...asks]) {
    const name = `the gateway hears ${nameOf(request)}`
    yield may(name, (draft) => draft.gatewayHears(request))
    if (request.type !== 'close' && codeEnded !== undefined) {
      yield may(`${name} when the code's time is over`, (draft) => draft.gatewayHears(request, { from: codeEnded }))
    }
    // It looks first while its records may be an old backup; no message is under way for longer than that.
    if (request.type === 'open' && gateway.phase === 'none' && !past.amnesia) {
      yield may(`${name}, long after its start`, (draft) => draft.gatewayHears(request, { blindly: true }))
    }
  }
  const hello = 'the gateway hears a hello'
  yield may(`${hello} that names the sale`, (draft) => draft.gatewayHearsHello())
  if (codeEnded !== undefined) yield may(`${hello} that names the sale when the code's time is over`, (draft) => draft.gatewayHearsHello(codeEnded))
  // Of a terminal that lost its journal; or one from before the sale, under way for long.
  yield may(`${hello} that does not name the sale (the terminal is ${terminal.power})`, (draft) => draft.gatewayTakes(GATEWAY_EVENTS.forgot))
}

function nameOf(said: Word | Request): string {
  switch (said.type) {
    case 'open':     return 'sale.open'
    case 'ask':      return `sale.ask showing ${said.charge}`
    case 'close':    return `sale.close showing ${said.charge ?? 'nothing'} (${said.reason})`
    case 'offer':    return `offer ${said.counter} of ${said.charge}`
    case 'verdict': {
      const { ending, charge, counter, re } = said
      const how = ending.outcome === 'paid' ? 'paid' : `unpaid (${ending.reason})`
      return `verdict ${counter} ${how} of ${charge ?? 'no charge'}${re === null ? '' : ', in answer to its close'}`
    }
    case 'reversed': return `that ${said.charge} was reversed`
  }
}

// -- The gateway ------------------------------------------------------------------------------------------------------

function* atGateway({ world, kit: { machines, size }, crashLeft, may, will }: Scene): Generator<Move<World>> {
  const { gateway, past, omise, requests } = world
  for (const [name, due] of machines.chargeDeadlines(gateway)) {
    yield* will(`gateway: ${name} is reached`, (draft) => draft.gatewayCommits(due))
  }
  for (const each of omise) yield* will(`the sweeper sees ${each.id}`, (draft) => draft.gatewayTakes(machines.chargeSeen(each)))
  if ('charge' in gateway && gateway.charge !== null) yield may('a webhook comes', (draft) => draft.gatewayTakes(GATEWAY_EVENTS.hint))
  if (crashLeft && requests.length > 0) {
    yield may('the gateway starts again', (draft) => {
      draft.crash()
      draft.gatewayRestarts()
    })
  }
  if (past.amnesia || gateway.phase === 'none') return
  const name = 'the gateway starts again from a backup'
  if (size.amnesia !== 'no') yield may(`${name} that is older than the sale`, (draft) => draft.gatewayForgets(NO_RECORDS))
  if (size.amnesia !== 'any') return
  const { replies, books, backup } = world
  if (backup === null) yield may('a backup is made', (draft) => draft.change({ backup: { gateway, replies, books } }))
  else yield may(`${name} of the sale when it was ${backup.gateway.phase}`, (draft) => draft.gatewayForgets(backup))
}

// -- Answers of Omise -------------------------------------------------------------------------------------------------

function* createsAnswered({ world: { creates }, kit: { machines, size }, may }: Scene): Generator<Move<World>> {
  for (const id of creates.made) {
    const rest = { ...creates, made: creates.made.filter((each) => each !== id) }
    yield may(`Omise answers: ${id} is created`, (draft) => {
      draft.change({ creates: rest })
      draft.gatewayTakes(machines.chargeCreated(draft.charge(id)))
    })
    yield may(`${id} was created, and the answer is lost`, (draft) => {
      draft.change({ creates: rest })
      draft.gatewayTakes(GATEWAY_EVENTS.createUnanswered)
    })
  }
  if (creates.sent === 0) return
  const rest = { ...creates, sent: creates.sent - 1 }
  yield may('Omise refuses to create', (draft) => {
    draft.change({ creates: rest })
    draft.gatewayTakes(GATEWAY_EVENTS.createRefused)
  })
  yield may('the gateway gives a create up', (draft) => {
    draft.change({ creates: { ...rest, loose: creates.loose + 1 } })
    draft.gatewayTakes(GATEWAY_EVENTS.createUnanswered)
  })
  for (const odd of size.oddCharges ? [null, 'of another amount', 'in the other mode'] as const : [null]) {
    yield may(`Omise creates a charge${odd === null ? '' : ` ${odd}`}`, (draft) => {
      const made = draft.makeCharge(odd)
      if (made !== undefined) draft.change({ creates: { ...rest, made: draft.withOne(creates.made, made.id) } })
    })
  }
}

/** Its charge is read all the time: by its own deadline, after a webhook, as the answer of an expiry. */
function* readsAnswered({ world: { codes, gateway, omise, past }, kit: { machines }, may }: Scene): Generator<Move<World>> {
  if (!('charge' in gateway) || gateway.charge === null) return
  const read = omise.find(({ id }) => id === gateway.charge)!
  for (const [chapter, name] of read.life.entries()) {
    if (chapter >= (past.reads[read.id] ?? 0)) yield may(`the gateway reads ${read.id}: ${name}`, (draft) => draft.gatewayTakes(machines.chargeRead(read, chapter)))
  }
  yield may(`the gateway gets no answer about ${read.id}`, (draft) => draft.gatewayTakes(GATEWAY_EVENTS.chargeUnanswered))
  if (!isPending(read)) yield may(`Omise refuses to expire ${read.id}`, (draft) => draft.gatewayTakes(GATEWAY_EVENTS.expireRefused))
  if (gateway.phase !== 'bound') return
  for (const id of [gateway.charge, ...codes]) {
    for (const event of [machines.codeRead(id), GATEWAY_EVENTS.codeUnreadable, GATEWAY_EVENTS.codeUnanswered]) {
      yield may(`the gateway gets an answer about the code of ${id}: ${event.type}`, (draft) => {
        draft.change({ codes: codes.filter((each) => each !== id) })
        draft.gatewayTakes(event)
      })
    }
  }
}

function* findAnswered({ world: { find, omise, gateway }, kit: { size, one }, may }: Scene): Generator<Move<World>> {
  if (find === null || gateway.phase !== 'intent') return
  yield may('the gateway gets no answer about the list of charges', (draft) => {
    draft.change({ find: null })
    draft.gatewayTakes(GATEWAY_EVENTS.findUnanswered)
  })
  for (const charges of lists(omise, find)) {
    const name = `the gateway finds ${charges.length === 0 ? 'no charge' : charges.map(nameOfFound).join(', ')}`
    const found = one<Event>({ type: 'charges found', charges })
    yield may(name, (draft) => {
      draft.change({ find: null })
      draft.gatewayTakes(found)
    })
    if (size.overlapping) yield may(`${name}, and another look is under way`, (draft) => draft.gatewayTakes(found))
  }
}

const nameOfFound = ({ id, status, refundedMinor }: ChargeSeen): string => `${id} ${status}${refundedMinor > 0 ? ` less ${refundedMinor}` : ''}`

/** Every list that may have been made since the look was sent. */
function lists([first, ...more]: readonly Charge[], since: Readonly<Record<string, number>>): readonly (readonly ChargeSeen[])[] {
  if (first === undefined) return [[]]
  const rest = lists(more, since)
  const earliest = since[first.id]
  const chapters = first.life.slice(earliest ?? 0).map((_, at) => [seen(first, (earliest ?? 0) + at)])
  return [...(earliest === undefined ? [[]] : []), ...chapters].flatMap((one) => rest.map((others) => [...one, ...others]))
}

function* refundsAnswered({ world: { refunds, lists: listing, omise, gateway }, kit: { machines, size, one }, may }: Scene): Generator<Move<World>> {
  for (const [id, since] of Object.entries(listing)) {
    const all = refundsOf(omise.find((each) => each.id === id)!)
    const { [id]: _, ...rest } = listing
    for (let count = since; count <= all.length; count++) {
      const name = `the gateway lists ${count} refunds of ${id}`
      const listed: Play = (draft) => draft.gatewayTakes(one({ type: 'refunds listed', charge: id, refunds: all.slice(0, count) }))
      yield may(name, (draft) => {
        draft.change({ lists: rest })
        listed(draft)
      })
      if (size.overlapping) yield may(`${name}, and another list is under way`, listed)
    }
    yield may(`the gateway gets no list of refunds of ${id}`, (draft) => {
      draft.change({ lists: rest })
      draft.gatewayTakes(one({ type: 'refunds unanswered', charge: id }))
    })
  }
  for (const [id, { made, amountMinor }] of Object.entries(refunds)) {
    yield may(`the gateway gets no answer about its refund of ${id}`, (draft) => {
      draft.letGo(id)
      draft.gatewayTakes(one({ type: 'refund unanswered', charge: id }))
    })
    const { [id]: _, ...rest } = refunds
    if (made !== null) {
      yield may(`Omise answers: the refund of ${id} is made`, (draft) => {
        draft.change({ refunds: rest })
        draft.gatewayTakes(one({ type: 'refund made', charge: id, refund: refundsOf(draft.charge(id))[made]! }))
      })
      continue
    }
    yield may(`Omise makes a refund of ${id}`, (draft) => {
      const before = refundsOf(draft.charge(id)).length
      if (draft.makeRefund(id, 'us', amountMinor) !== undefined) draft.change({ refunds: { ...rest, [id]: { amountMinor, made: before } } })
    })
    for (const [times, from] of [['', gateway], [' for the last time', machines.refusedOften(gateway)]] as const) {
      yield may(`Omise refuses a refund of ${id}${times}`, (draft) => {
        draft.change({ refunds: rest })
        draft.gatewayTakes(one({ type: 'refund refused', charge: id, code: 'failed_refund' }), from)
      })
    }
  }
}

// -- Omise, and the customer ------------------------------------------------------------------------------------------

/** What was given up may still be done. */
function* atOmise({ world: { creates, looseRefunds }, may }: Scene): Generator<Move<World>> {
  if (creates.loose > 0) {
    const rest = { ...creates, loose: creates.loose - 1 }
    yield may('Omise creates a charge, long after the gateway gave it up', (draft) => {
      if (draft.makeCharge() !== undefined) draft.change({ creates: rest })
    })
    yield may('a create that was given up never reaches Omise', (draft) => draft.change({ creates: rest }))
  }
  for (const [id, amountMinor] of Object.entries(looseRefunds)) {
    const { [id]: _, ...rest } = looseRefunds
    yield may(`Omise makes a refund of ${id}, long after the gateway gave it up`, (draft) => {
      if (draft.makeRefund(id, 'us', amountMinor) !== undefined) draft.change({ looseRefunds: rest })
    })
    yield may(`a refund of ${id} that was given up never reaches Omise`, (draft) => draft.change({ looseRefunds: rest }))
  }
}

function* toCharges({ world: { omise }, kit: { size }, may }: Scene): Generator<Move<World>> {
  for (const charge of omise) {
    const { id, shown, begun } = charge
    if (isPending(charge)) {
      yield may(`${id} expires`, (draft) => { draft.grow(id, 'expired') })
      if (shown || size.unseenPaid) {
        yield may(`a customer pays ${id}`, (draft) => { draft.grow(id, 'successful') })
        yield may(`a customer's payment of ${id} fails`, (draft) => { draft.grow(id, 'failed') })
      }
    }
    if (size.lateWallet && statusOf(charge) === 'expired' && (begun || size.unseenPaid)) {
      yield may(`${id} is paid although it expired`, (draft) => { draft.grow(id, 'successful') })
    }
    if (size.desk && tookMoney(charge) && refundsOf(charge, 'desk').length === 0) {
      for (const minor of new Set([DESK_MINOR, leftMinor(charge)])) {
        if (minor > 0) yield may(`somebody refunds ${minor} of ${id} by hand`, (draft) => { draft.makeRefund(id, 'desk', minor) })
      }
    }
  }
}
