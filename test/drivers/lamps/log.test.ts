import { describe, expect, test } from 'vitest'
import type { LampPattern } from '../../../drivers/driver.js'
import { createLogLamps } from '../../../drivers/lamps/log.js'
import { createNoLamps } from '../../../drivers/lamps/none.js'
import { lampsConformance } from '../../conformance/lamps.js'

describe('lamps in the log', () => {
  lampsConformance(() => {
    let last: LampPattern | undefined
    return Promise.resolve({ lamps: createLogLamps((pattern) => { last = pattern }), seen: () => last })
  })

  test('say a pattern when it changes, not when it is shown again', () => {
    const said: LampPattern[] = []
    const lamps = createLogLamps((pattern) => said.push(pattern))
    for (const pattern of ['ready', 'ready', 'working', 'working', 'paid', 'ready'] as const) lamps.show(pattern)
    expect(said).toEqual(['ready', 'working', 'paid', 'ready'])
  })
})

describe('a box without lamps', () => {
  lampsConformance(() => Promise.resolve({ lamps: createNoLamps(), seen: () => undefined, invisible: true }))
})
