/**
 * What a box lets out: at most once a sale (G1), only of a sale that the gateway's books have called paid (G2), and of every
 * paid sale it is known that the goods came out, or a person looks (G3).
 */
import type { Commit, Store } from '../../cloud/store.js'
import type { Recorded } from '../../device/sale.js'
import type { Box } from './box.js'
import type { Seen } from './seen.js'

export interface GoodsRules {
  recorded(box: Box, recorded: Recorded): void
  letOut(box: Box, pulses: number): void
  delivered(box: Box): void
  committed(commit: Commit): void
  restored(): void
  lostMemory(box: Box, knows: boolean): void
  audit(store: Store): Promise<void>
}

export function createGoodsRules({ hold, violate, tally, chargeOf }: Seen): GoodsRules {
  /** The sale that each box has on its hands, as it recorded last. */
  const current = new Map<Box, string>()
  /** Sales of boxes that let goods out. */
  const ours = new Set<string>()
  const paid = new Set<string>()
  const letOut = new Set<string>()
  const delivered = new Set<string>()
  /** On the exception list, as far as the gateway has not lost it again. */
  const noted = new Set<string>()
  /** Nobody can know of them any more: the gateway's list, or the only terminal that knew, went back in time. */
  const lost = new Set<string>()

  return {
    recorded(box, recorded) {
      if (recorded.phase === 'idle' || box.plan.release === undefined) return
      current.set(box, recorded.sale.id)
      ours.add(recorded.sale.id)
    },
    letOut(box, pulses) {
      const last = box.disk.last()
      if (last.phase !== 'delivering') return violate('G1', `${box.name} lets goods out, and its journal says ${last.phase}`)
      const { id, amount } = last.sale
      hold('G1', !letOut.has(id), () => `${box.name} lets goods out for ${id} a second time`)
      letOut.add(id)
      tally.letOut++
      hold('G2', paid.has(id), () => `${box.name} lets goods out for ${id}, which no gateway has called paid`)
      const wanted = box.plan.release?.pulses
      const due = typeof wanted === 'object' ? amount.minor / wanted.perMinor : 1
      return hold('G2', pulses === due, () => `${box.name} sends ${pulses} pulses for ${amount.minor}, and ${due} are due`)
    },
    delivered(box) {
      const sale = current.get(box)
      if (sale !== undefined) delivered.add(sale)
    },
    committed({ sale, state, concerns }) {
      if (state.phase === 'paid') paid.add(sale)
      if (!concerns.some(({ key }) => key.startsWith('undelivered '))) return
      if (!noted.has(sale)) tally.inDoubt++
      noted.add(sale)
    },
    restored() {
      for (const sale of noted) lost.add(sale)
      noted.clear()
    },
    lostMemory(box, knows) {
      const sale = current.get(box)
      if (sale !== undefined && (!knows || box.name.includes('clone'))) lost.add(sale)
    },
    async audit(store) {
      const looked = new Set((await store.exceptions('all')).map(({ charge }) => charge))
      for (const id of ours) {
        const state = await store.sale(id)
        if (state?.phase !== 'paid' || delivered.has(id) || lost.has(id)) continue
        const truth = chargeOf(state.charge)
        const isBack = truth !== undefined && truth.refundedAmount >= truth.amount
        hold('G3', isBack || looked.has(state.charge), () => `${id} is paid, nobody knows whether its goods came out, and nobody looks at it`)
      }
    },
  }
}
