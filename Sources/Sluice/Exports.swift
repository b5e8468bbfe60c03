// What a program that imports `Sluice` needs of the layers below: addresses and errors.

@_exported public import struct Wire.IPAddress
@_exported public import struct Wire.IPPrefix
@_exported public import struct Wire.IPv4Address
@_exported public import struct Wire.IPv6Address
@_exported public import struct Wire.MACAddress
@_exported public import struct Wire.SocketAddress
@_exported public import enum Sockets.SocketError
@_exported public import struct Sockets.BufferLimits
@_exported public import struct Sockets.SocketEvents
@_exported public import struct Sockets.SocketEvent
@_exported public import enum Sockets.EventTrigger
@_exported public import class Sockets.UserEvent
@_exported public import struct Sockets.EventTimer
@_exported public import struct Wire.IPProtocol
@_exported public import struct Sockets.BindingSummary
@_exported public import struct Sockets.ConnectionSummary
@_exported public import enum TCP.TCPState
@_exported public import struct Internet.InterfaceStatistics
@_exported public import struct Internet.NeighborStatistics
@_exported public import struct SoftInterrupts.LevelBudget
@_exported public import struct SoftInterrupts.LevelBudgets
@_exported public import enum SoftInterrupts.ReceiveSteering
