/**
 * Sees everything -- the truth at the payment API, every picture, every byte to a register, every record and commit -- and
 * holds it against the numbered invariants the moment it happens. It asks the product nothing and believes it nothing.
 * What must only become true in the end is asked in the final audit.
 */
import type { Commit, Store } from '../../cloud/store.js'
import { DownMessage } from '../../device/protocol/wire.js'
import { audit, auditSunny, isQuiet } from './audit.js'
import type { Box, BoxWitness } from './box.js'
import { createCounterRules } from './counter-rules.js'
import { createGoodsRules } from './goods-rules.js'
import { createMoneyRules, type MoneyRules } from './money-rules.js'
import { createPanelRules } from './panel-rules.js'
import type { ApiWitness } from './payment-api.js'
import { createSeen, type SeenOptions, type Tally, type Violation } from './seen.js'
import { unsealed } from './toy-seal.js'

export interface Oracle extends ApiWitness, BoxWitness, Pick<MoneyRules, 'trouble'> {
  committed(commit: Commit): void
  /** The gateway's records are those of an earlier moment. */
  restored(): void
  disputed(charge: string): void
  /** The product threw what nobody caught. */
  broken(error: unknown): void
  violation(): Violation | undefined
  tally(): Tally
  isQuiet(boxes: readonly Box[], store: Store): Promise<boolean>
  /** `sunny`: no fault struck in this world, so everything was also prompt. */
  audit(boxes: readonly Box[], store: Store, sunny: boolean): Promise<void>
}

export function createOracle(options: SeenOptions): Oracle {
  const seen = createSeen(options)
  const { engine, placeOf, hold, sales, states } = seen
  const money = createMoneyRules(seen)
  const panel = createPanelRules(seen, money, (sale, what, bytes) => counter.outcome(sale, what, bytes))
  const counter = createCounterRules(seen, money, panel.mustGo)
  const goods = createGoodsRules(seen)

  return {
    ...money, drew: panel.drew, lit: panel.lit, answered: counter.answered, letOut: goods.letOut, delivered: goods.delivered,
    recorded(box, recorded) {
      goods.recorded(box, recorded)
      counter.recorded(box, recorded)
    },
    booted(box) {
      const place = placeOf(box)
      place.bootedAt = engine.now()
      place.blankedThisLife = false
      place.welcomed = false
      place.falseWelcomes = 0
      place.resolvingSince = undefined
      const last = box.disk.last() // It may be an older one: the card had only said that it wrote the newer.
      place.phase = last.phase
      if (last.phase === 'settled' || last.phase === 'delivering') counter.settledAs(place, last)
      counter.presentsNoMore(place)
    },
    acted(box, what) {
      const place = placeOf(box)
      if (what === 'draws') place.blankedThisLife = true
      else hold('D2', place.blankedThisLife, () => `${box.name} ${what} before it has blanked its panel`)
    },
    drawFails(box, untilMs) { placeOf(box).hangsUntil = untilMs },
    disconnected(box) { placeOf(box).welcomed = false },
    heard(box, topic, sealed) {
      const place = placeOf(box)
      place.heardAt = engine.now()
      if (!topic.endsWith('/welcome')) return
      const message = DownMessage.parse(unsealed(sealed))
      if (message.type !== 'welcome') return
      if (!place.welcomed) place.linkUpAt = engine.now()
      place.welcomed = true
      place.falseWelcomes = message.charging ? 0 : place.falseWelcomes + 1
    },
    lostMemory(box, knows) {
      goods.lostMemory(box, knows)
      const place = placeOf(box)
      place.memoryLostAt = engine.now()
      place.phase = 'idle'
      for (const sale of sales.values()) {
        if (sale.terminal !== box.plan.terminal || sale.toldOutcome !== undefined) continue
        sale.forgotten = true
        sale.unknowingly ||= !knows
      }
    },
    committed(commit) {
      states.set(commit.sale, commit.state)
      goods.committed(commit)
    },
    restored() {
      states.clear()
      goods.restored()
    },
    disputed(charge) { seen.disputes.add(charge) },
    broken(error) { seen.violate('BROKEN', error instanceof Error ? error.stack ?? error.message : String(error)) },
    violation: seen.violation,
    tally: () => seen.tally,
    isQuiet: (boxes, store) => isQuiet(seen, boxes, store),
    async audit(boxes, store, sunny) {
      await audit(seen, boxes, store)
      await goods.audit(store)
      if (sunny) auditSunny(seen)
    },
  }
}
