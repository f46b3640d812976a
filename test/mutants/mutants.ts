/**
 * The bugs we are most afraid of, each as one change to one file, and the layer that must find it. A line of this table
 * is a claim: break this, and that goes red. `find` stands exactly once in its file.
 */

export type LayerName = 'model' | 'simulation' | 'power cuts' | 'tests'

export interface Layer {
  readonly command: readonly string[]
  /** What it prints when the product is whole, and when it is not: a layer that merely crashes has found nothing. */
  readonly success: RegExp
  readonly failure: RegExp
}

export const LAYERS: Readonly<Record<LayerName, Layer>> = {
  'model': { command: ['node', 'dist/test/model/check.js', 'crashes', '--first'], success: /stuck +0\n/, failure: /VIOLATION .*/ },
  'simulation': {
    command: ['node', 'dist/test/simulation/simulate.js', '--sales', '2500', '--hours', '1', '--workers', '1', '--from-seed', '1'],
    success: /nothing was wrong/, failure: /VIOLATION .*/,
  },
  'power cuts': { command: ['node', 'dist/test/power/power-cuts.js', '--cuts', '12'], success: /^0 violations, 0 not run/m, failure: /VIOLATION .*/ },
  'tests': {
    command: ['node', '../../../node_modules/vitest/vitest.mjs', 'run'],
    success: /Tests .*passed/, failure: /AssertionError.*|Property failed.*|Error: .*|Tests .*failed.*/,
  },
}

export interface Mutant {
  readonly name: string
  /** In words: what the shop would suffer. */
  readonly bug: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly layer: LayerName
  /** Where the layer is tests of vitest: which. */
  readonly tests?: readonly string[]
}

export const MUTANTS: readonly Mutant[] = [
  // One charge, and only what was read of it.
  {
    name: 'offers a second charge', bug: 'a late answer replaces the charge whose code is shown',
    file: 'cloud/charge.ts', layer: 'model',
    find: `    case 'charge created':
      return extras(state, [event.charge], given)
    case 'charges found':
      return extras(state, event.charges, given)
    case 'dispute seen':
    case 'create refused':`,
    replace: `    case 'charge created':
      return bindOne({ ...state, charge: event.charge.id, payload: undefined }, event.charge, given)
    case 'charges found':
      return extras(state, event.charges, given)
    case 'dispute seen':
    case 'create refused':`,
  },
  {
    name: 'trusts the webhook', bug: 'a hint is taken for a payment',
    file: 'cloud/charge.ts', layer: 'model',
    find: `    case 'expire refused': // It is no longer pending, so it has ended: paid, perhaps. Payment wins over Cancel.
    case 'hint received':
      return`,
    replace: `    case 'hint received':
      return verdict({ ...state, phase: 'paid', asked: null, paidAt: '2026-01-01T00:00:00Z', refundedMinor: 0 }, state.asked)
    case 'expire refused':
      return`,
  },
  {
    name: 'cancels eagerly', bug: 'cancelled is said before the charge is closed',
    file: 'cloud/charge.ts', layer: 'model',
    find: `isAnother(state.charge, event.showing) ? reconsider(closing, event.showing, given) : expire(closing, given)`,
    replace: `close(closing, state.charge, event.reason)`,
  },
  {
    name: 'keeps late money', bug: 'a payment after the end is silently kept',
    file: 'cloud/charge.ts', layer: 'model',
    find: "return reverse(state, charge, `paid after the sale had ended (${state.reason})`, given)",
    replace: 'return stay(state)',
  },
  {
    name: 'has no lease', bug: 'a dead terminal leaves a payable code for a day',
    file: 'cloud/charge.ts', layer: 'model',
    find: `if (state.closing === undefined && given.now >= state.leaseEndsAt) {`,
    replace: `if (state.closing === undefined && given.now >= Infinity) {`,
  },
  {
    name: 'gives up after a refused expire', bug: 'the payment that won the race is never read',
    file: 'cloud/charge.ts', layer: 'model',
    find: `    case 'expire refused': // It is no longer pending, so it has ended: paid, perhaps. Payment wins over Cancel.
    case 'hint received':
      return { ...stay(state), effects: [{ do: 'read charge', charge: state.charge }] }
    case 'deadline reached':
      if`,
    replace: `    case 'expire refused':
      return close(state, state.charge, 'expired')
    case 'hint received':
      return { ...stay(state), effects: [{ do: 'read charge', charge: state.charge }] }
    case 'deadline reached':
      if`,
  },
  {
    name: 'calls a failed charge paid', bug: 'any charge that ended counts as paid',
    file: 'cloud/charge.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `const isPaid = ({ status, paid }: ChargeSeen): boolean => status === 'successful' && paid`,
    replace: `const isPaid = ({ status }: ChargeSeen): boolean => status !== 'pending'`,
  },
  {
    name: 'lets orphans live', bug: 'charges that are not shown stay payable',
    file: 'cloud/charge.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `return isOurs && state.phase === 'bound' ? stay(state) : { ...stay(state), effects: [expiring(charge)] }`,
    replace: `return stay(state)`,
  },
  {
    name: 'creates before it looks', bug: 'a gateway with old records makes a second charge, and the terminal shows the first',
    file: 'cloud/charge.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `return given.lookFirst ? find(`,
    replace: `return given.lookFirst && given.now < 0 ? find(`,
  },
  {
    name: 'ignores the amount', bug: 'a charge of another amount pays the sale',
    file: 'cloud/charge.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `if (charge.amountMinor !== order.amountMinor || charge.currency !== order.currency) {`,
    replace: `if (charge.currency !== order.currency) {`,
  },
  {
    name: 'ignores livemode', bug: 'play money pays for real goods',
    file: 'cloud/charge.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `if (charge.livemode !== terms.livemode) return`,
    replace: `if (charge.livemode === undefined) return`,
  },

  // Money on its way back.
  {
    name: 'refunds twice on a lost answer', bug: 'a refund is sent again before the list was read',
    file: 'cloud/reversal.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `    case 'refund unanswered':
    case 'refunds unanswered':
      return later(reversal, reversal.tries + 1, now)`,
    replace: `    case 'refund unanswered':
      return tally({ ...reversal, phase: 'listing' } as Reversal, order, [], now)
    case 'refunds unanswered':
      return later(reversal, reversal.tries + 1, now)`,
  },
  {
    name: 'refunds before it lists', bug: 'money that a person gave back already is sent once more',
    file: 'cloud/reversal.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `    effects: [{ do: 'list refunds', charge: of.charge }],`,
    replace: `    effects: [{ do: 'refund charge', charge: of.charge, sale: '', amountMinor: of.amountMinor }],`,
  },
  {
    name: 'forgets a lost refund', bug: 'a refund without an answer counts as done',
    file: 'cloud/reversal.ts', layer: 'model',
    find: `    case 'refund unanswered':
    case 'refunds unanswered':
      return later(reversal, reversal.tries + 1, now)`,
    replace: `    case 'refund unanswered':
      return stay(done(reversal, false, now))
    case 'refunds unanswered':
      return later(reversal, reversal.tries + 1, now)`,
  },
  {
    name: 'refunds what cannot be', bug: 'PromptPay money waits for a refund that never comes, and nobody is told',
    file: 'cloud/reversal.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: `if (!PAYMENT_METHODS[order.method].refundable) {`,
    replace: `if (PAYMENT_METHODS[order.method].title === '') {`,
  },
  {
    name: 'gives up in silence', bug: 'a refund that is refused for ever reaches no exception list',
    file: 'cloud/reversal.ts', layer: 'tests', tests: ['test/cloud/charge.test.ts'],
    find: "phase: 'stuck', reason, refundedMinor: 0 }), concerns: [concern(of, 'not reversed', `${of.why}; ${reason}`)] }",
    replace: "phase: 'stuck', reason, refundedMinor: 0 }), concerns: [] }",
  },

  // Books.
  {
    name: 'books a payment at every read', bug: 'one sale is posted more than once',
    file: 'cloud/store.ts', layer: 'tests', tests: ['test/cloud/store.test.ts'],
    find: `      if (known.get(entry.key) !== undefined) return
`,
    replace: `      entry = { ...entry, key: known.get(entry.key) === undefined ? entry.key : \`\${entry.key} again\` }
`,
  },
  {
    name: 'chains without amounts', bug: 'an amount in the books can be changed unseen',
    file: 'cloud/ledger.ts', layer: 'tests', tests: ['test/cloud/ledger.test.ts'],
    find: `lines.map(({ account, minor }) => [account, minor])]`,
    replace: `lines.map(({ account }) => [account])]`,
  },
  {
    name: 'commits words apart from state', bug: 'a verdict is lost with the power',
    file: 'cloud/store.ts', layer: 'tests', tests: ['test/cloud/store.test.ts'],
    find: `      putWord.run(word.topic, word.sealed)
`,
    replace: `      queueMicrotask(() => putWord.run(word.topic, word.sealed))
`,
  },
  {
    name: 'ignores the fence', bug: 'two gateways act on one sale',
    file: 'cloud/store.ts', layer: 'tests', tests: ['test/cloud/store.test.ts', 'test/cloud/fencing.test.ts'],
    find: `if (number !== undefined && owner.get() !== number) {`,
    replace: `if (number !== undefined && owner.get() === -1) {`,
  },
  {
    name: 'acts before it commits', bug: 'a charge is made that nobody remembers',
    file: 'cloud/gateway.ts', layer: 'tests', tests: ['test/cloud/gateway.test.ts'],
    find: `    if (state.phase !== 'none' && changes) await commit(sale, state, next, event)
`,
    replace: `    for (const effect of commands) void act(sale, effect)
    if (state.phase !== 'none' && changes) await commit(sale, state, next, event)
`,
  },
  {
    name: 'repeats a question', bug: 'a repeated request is not answered with the same bytes',
    file: 'cloud/gateway.ts', layer: 'tests', tests: ['test/cloud/gateway.test.ts'],
    find: `if (said !== undefined) return void repeatReply(said)`,
    replace: `if (said === undefined) log.debug('asked for the first time')`,
  },
  {
    name: 'never freezes a clone', bug: 'two boxes sell with one identity',
    file: 'cloud/gateway.ts', layer: 'tests', tests: ['test/cloud/gateway.test.ts'],
    find: `if (returns >= RETURNS_MAX) {`,
    replace: `if (returns >= Infinity) {`,
  },
  {
    name: 'sends a create twice', bug: 'a write is repeated after an error of the API',
    file: 'cloud/omise.ts', layer: 'tests', tests: ['test/cloud/omise.test.ts'],
    find: `    ask(call, { what, method: 'POST', path, body }, reader)
`,
    replace: `    repeat(() => ask(call, { what, method: 'POST', path, body }, reader), sleep)
`,
  },
  {
    name: 'never sweeps', bug: 'money whose webhook was lost is found by nobody',
    file: 'cloud/sweeper.ts', layer: 'tests', tests: ['test/cloud/sweeper.test.ts'],
    find: `        isDone = await gateway.see(charge) && isDone`,
    replace: `        isDone = await Promise.resolve(charge !== undefined) && isDone`,
  },

  // The terminal.
  {
    name: 'believes another sale', bug: 'somebody else\'s PAID opens the relay',
    file: 'device/sale.ts', layer: 'tests', tests: ['test/device/sale.test.ts'],
    find: `  if (word.order.sale !== sale.id) return 'another sale'
`,
    replace: '',
  },
  {
    name: 'believes a replay', bug: 'an old word of the same sale is taken for a new one',
    file: 'device/sale.ts', layer: 'tests', tests: ['test/device/sale.test.ts'],
    find: `  if (word.order.nonce !== sale.nonce) return 'another nonce'
`,
    replace: '',
  },
  {
    name: 'shows PAID without a verdict', bug: 'the last code expired, so it must have been paid',
    file: 'device/sale.ts', layer: 'model',
    find: `      if (given.now >= state.endsAt) return resolve(state.sale, 'expired', state.offer, given)
`,
    replace: `      if (given.now >= state.endsAt) {
        return settle(state.sale, { ending: { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' }, charge: state.offer.charge }, given)
      }
`,
  },
  {
    name: 'cancels by itself', bug: 'Cancel ends the sale without asking',
    file: 'device/sale.ts', layer: 'model',
    find: `    case 'cancel pressed':
      return resolve(state.sale, 'cancelled', state.offer, given)
`,
    replace: `    case 'cancel pressed':
      return settle(state.sale, { ending: { outcome: 'unpaid', reason: 'cancelled' }, charge: state.offer.charge }, given)
`,
  },
  {
    name: 'acts before it records', bug: 'a sale is asked for that the journal does not hold',
    file: 'device/terminal.ts', layer: 'tests', tests: ['test/device/terminal.test.ts'],
    find: `    if (!write(next.state)) return
    state = next.state
    for (const effect of next.effects) act(effect)
`,
    replace: `    for (const effect of next.effects) act(effect)
    if (!write(next.state)) return
    state = next.state
`,
  },
  {
    name: 'lets goods out before it records', bug: 'power goes between the pulse and the journal, and the next start pulses again',
    file: 'device/terminal.ts', layer: 'tests', tests: ['test/device/terminal-parts.test.ts'],
    find: `    const before = state
    if (!write(next.state)) return
`,
    replace: `    const before = state
    for (const effect of next.effects) if (effect.do === 'let goods out') act(effect)
    if (!write(next.state)) return
`,
  },
  {
    name: 'lets goods out again after a restart', bug: 'whoever cuts the power at the right moment gets two for the price of one',
    file: 'device/sale.ts', layer: 'simulation',
    find: `    case 'delivering': return undeliver(settle(recorded.sale, recorded.verdict, given), given)
`,
    replace: `    case 'delivering': return deliver({ phase: 'opening', sale: recorded.sale, retryAt: 0, giveUpAt: 0 }, recorded.verdict, given)
`,
  },
  {
    name: 'forgets that goods are in doubt', bug: 'a customer paid, nothing came out, and after a power cut nobody hears of it',
    file: 'device/sale.ts', layer: 'tests', tests: ['test/device/goods.test.ts', 'test/device/sale.test.ts'],
    find: `return { phase: 'settled', sale, verdict, told, ...(undelivered?.noted === false ? { undelivered: true } : {}) }`,
    replace: `return { phase: 'settled', sale, verdict, told }`,
  },
  {
    name: 'leaves the old picture', bug: 'after a power cut an old code stays on the panel',
    file: 'device/terminal.ts', layer: 'simulation',
    find: `    async start() {
      await display.blank()
`,
    replace: `    async start() {
`,
  },
  {
    name: 'shows the code in doubt', bug: 'a code stays payable on the panel after Cancel',
    file: 'device/view.ts', layer: 'simulation',
    find: `    case 'resolving':
      return { screen: 'checking', ...ofSale(state.sale) }
`,
    replace: `    case 'resolving':
      return state.offer === undefined ? { screen: 'checking', ...ofSale(state.sale) }
        : { screen: 'scan to pay', ...ofSale(state.sale), payload: state.offer.payload, method: state.sale.method, secondsLeft: 15 }
`,
  },
  {
    name: 'syncs no record', bug: 'the journal forgets what it acknowledged when power goes',
    file: 'device/journal.ts', layer: 'power cuts',
    find: `    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`,
    replace: `    PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;`,
  },
  {
    name: 'syncs no commit', bug: 'the gateway forgets what it acknowledged when power goes',
    file: 'cloud/store.ts', layer: 'power cuts',
    find: `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000`,
    replace: `PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000`,
  },
  {
    name: 'takes corrupt for empty', bug: 'a damaged journal looks like a terminal without a sale, and nobody is told',
    file: 'device/journal.ts', layer: 'tests', tests: ['test/device/journal.test.ts'],
    find: `{ newest, epochs: mark?.epoch ?? 0, damaged: setAside(file, wallMs), unlock, kept }`,
    replace: `{ newest: undefined, epochs: mark?.epoch ?? 0, damaged: setAside(file, wallMs) === '' ? '' : undefined, unlock, kept }`,
  },

  // Who may say what.
  {
    name: 'believes any key', bug: 'whoever is on the broker can say PAID',
    file: 'device/protocol/seal.ts', layer: 'tests', tests: ['test/device/protocol/seal.test.ts'],
    find: `      payload = verified.payload
    } catch {`,
    replace: `      payload = verified.payload
    } catch {
      const claimed = Buffer.from(bytes).toString().split('.')[1]
      if (claimed !== undefined) return parseMessage(schema, Buffer.from(claimed, 'base64url'))`,
  },
  {
    name: 'obeys retained words', bug: 'a broker repeats an old PAID to every new session',
    file: 'device/mqtt-transport.ts', layer: 'tests', tests: ['test/device/cloud-link.test.ts', 'test/security/hostile-broker.test.ts'],
    find: `    if (retain) listener.refused('retained')
    else listener.received(bytes)`,
    replace: `    if (!retain || bytes.length > 0) listener.received(bytes)`,
  },
  {
    name: 'lets webhooks in unsigned', bug: 'anybody on the internet makes the gateway work',
    file: 'cloud/webhook.ts', layer: 'tests', tests: ['test/cloud/webhook.test.ts'],
    find: `timingSafeEqual(`,
    replace: `((a: Uint8Array, b: Uint8Array) => a.length === b.length)(`,
  },
  {
    name: 'reads amounts as fractions', bug: '19.99 becomes 19.98',
    file: 'device/protocol/money.ts', layer: 'tests', tests: ['test/device/protocol/money.test.ts'],
    find: `  return amountFromDigits(whole + fraction.padEnd(digits, '0'), currency)
}

/** Keys`,
    replace: `  return amountFromDigits(String(Math.trunc(Number(\`\${whole}.\${fraction || '0'}\`) * 10 ** digits)), currency)
}

/** Keys`,
  },
  {
    name: 'reads Thai digits', bug: 'digits that look like none count as an amount',
    file: 'device/protocol/money.ts', layer: 'tests', tests: ['test/device/protocol/money.test.ts'],
    find: `if (!/^[0-9]+$/.test(significant)`,
    replace: `if (!/^\\p{Nd}+$/u.test(significant)`,
  },
  {
    name: 'voids by the UTC day', bug: 'a payment after 16:00 UTC is promised a void that is over',
    file: 'device/protocol/payment-method.ts', layer: 'tests', tests: ['test/device/protocol/payment-method.test.ts'],
    find: `  const daysSince1970 = Math.floor((paidAtMs + dayUtcOffsetMs) / DAY_MS)`,
    replace: `  const daysSince1970 = Math.floor(paidAtMs / DAY_MS)`,
  },
]
