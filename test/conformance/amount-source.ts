/**
 * What every amount source promises, whatever it is made of: keypads, registers, virtual ones and fakes run this.
 * Call it inside a describe; `open` makes a fresh source with somebody at its other end.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AmountSource, Answer, Input } from '../../drivers/driver.js'

export interface AmountSourceUnderTest {
  readonly source: AmountSource
  /** Somebody asks for something, at least two inputs; resolves with what must be delivered, once it is on its way. */
  ask(): Promise<readonly Input[]>
  /** Long enough that what is on its way would have been delivered. */
  settle(): Promise<void>
  close(): Promise<void>
}

const ANSWERS: readonly Answer[] = [
  { answer: 'ok', amount: '25.00', sale: '01931e7c-0000-7000-8000-000000000001', charge: 'chrg_test_1' },
  { answer: 'no', reason: 'expired' },
]

export function amountSourceConformance(open: () => Promise<AmountSourceUnderTest>): void {
  let world: AmountSourceUnderTest
  beforeEach(async () => { world = await open() })
  afterEach(async () => {
    await world.source.stop()
    await world.close()
  })
  const arrived = (inputs: readonly Input[], expected: readonly Input[]) =>
    vi.waitFor(() => expect(inputs).toEqual(expected), { timeout: 5_000, interval: 5 })

  test('delivers everything that is asked, once and in order', async () => {
    const inputs: Input[] = []
    await world.source.start((input) => inputs.push(input))
    const first = await world.ask()
    await arrived(inputs, first)
    const second = await world.ask()
    await arrived(inputs, [...first, ...second])
    await world.settle()
    expect(inputs).toEqual([...first, ...second])
    expect(first.length).toBeGreaterThan(1)
  })

  test('takes an answer while it is started', async () => {
    await world.source.start(() => undefined)
    for (const answer of ANSWERS) await expect(world.source.answer(answer)).resolves.toBeUndefined()
  })

  test('delivers nothing after it was stopped', async () => {
    const inputs: Input[] = []
    await world.source.start((input) => inputs.push(input))
    await world.source.stop()
    await world.ask()
    await world.settle()
    expect(inputs).toEqual([])
  })

  test('may be stopped before it was started, and twice', async () => {
    await expect(world.source.stop()).resolves.toBeUndefined()
    await world.source.start(() => undefined)
    await world.source.stop()
    await expect(world.source.stop()).resolves.toBeUndefined()
  })

  test('may be started again, and then serves only the new listener', async () => {
    const before: Input[] = []
    const after: Input[] = []
    await world.source.start((input) => before.push(input))
    await world.source.stop()
    await world.source.start((input) => after.push(input))
    const asked = await world.ask()
    await arrived(after, asked)
    expect(before).toEqual([])
  })
}
