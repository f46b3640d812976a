/**
 * What every set of lamps promises. Call it inside a describe; `open` makes fresh lamps and an eye that looks at them.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { LampPattern, Lamps } from '../../drivers/driver.js'

export interface LampsUnderTest {
  readonly lamps: Lamps
  /** The pattern that can be seen now; undefined when nothing was shown yet or the lamps have no eye. */
  seen(): LampPattern | undefined
  /** Lamps that cannot be seen by anything (a box that has none). */
  readonly invisible?: boolean
}

const PATTERNS: readonly LampPattern[] = [
  'off', 'ready', 'working', 'waiting', 'checking', 'paid', 'not paid', 'offline', 'out of service',
]

export function lampsConformance(open: () => Promise<LampsUnderTest>): void {
  let world: LampsUnderTest
  beforeEach(async () => { world = await open() })
  afterEach(() => world.lamps.close())
  const seen = (pattern: LampPattern | undefined) =>
    vi.waitFor(() => expect(world.seen()).toBe(world.invisible === true ? undefined : pattern), { timeout: 5_000, interval: 5 })

  test.each(PATTERNS)('show %s', async (pattern) => {
    expect(world.lamps.show(pattern)).toBeUndefined()
    await seen(pattern)
  })

  test('show the last of many patterns', async () => {
    for (const pattern of [...PATTERNS, ...PATTERNS, 'paid' as const]) world.lamps.show(pattern)
    await seen('paid')
  })

  test('close twice, and are not disturbed by a pattern after that', async () => {
    world.lamps.show('ready')
    await seen('ready')
    await world.lamps.close()
    await expect(world.lamps.close()).resolves.toBeUndefined()
    expect(() => world.lamps.show('paid')).not.toThrow()
    expect(world.seen()).not.toBe('paid')
  })
}
